"""Text options: normalisation, then lower case, character by character."""

import unicodedata

import pytest
from hypothesis import example, given, settings

from components.transform.text_options import Normalization, TextOptions
from tests.components.transform.texts import TEXTS


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        (TextOptions(), "ﬁ É e\u0301", "ﬁ É e\u0301"),
        (TextOptions("NFC"), "ﬁ É e\u0301", "ﬁ É é"),
        (TextOptions("NFKC"), "ﬁ É e\u0301", "fi É é"),
        (TextOptions(lowercase=True), "ﬁ É E\u0301", "ﬁ é e\u0301"),
        (TextOptions("NFKC", lowercase=True), "ℌ E\u0301", "h é"),
        # Normalised first: what lower case makes of it is not normalised again.
        (TextOptions("NFC", lowercase=True), "I\u0307", "i\u0307"),
    ],
)
def test_apply_normalises_then_lowers(options: TextOptions, text: str, expected: str) -> None:
    assert options.apply(text) == expected


def test_apply_final_sigma_is_a_sigma_like_any_other() -> None:
    assert "ΟΔΟΣ ΣΣ".lower().endswith("ς"), "the guard: Python's own lower case knows a final sigma"
    assert TextOptions(lowercase=True).apply("ΟΔΟΣ ΣΣ") == "οδοσ σσ"


def test_apply_lowers_every_character_as_if_alone() -> None:
    characters = "".join(map(chr, range(0x110000)))
    assert TextOptions(lowercase=True).apply(characters) == "".join(c.lower() for c in characters)


@settings(deadline=None)
@given(TEXTS)
@example("aΣ Σ\u0345Σ. AΣ")
@pytest.mark.parametrize("form", ["none", "NFC", "NFKC"])
def test_apply_is_the_definition(form: Normalization, text: str) -> None:
    normalised = text if form == "none" else unicodedata.normalize(form, text)
    assert TextOptions(form).apply(text) == normalised
    assert TextOptions(form, lowercase=True).apply(text) == "".join(c.lower() for c in normalised)


def test_is_identity_is_true_without_options_only() -> None:
    assert TextOptions().is_identity
    assert not TextOptions("NFC").is_identity
    assert not TextOptions(lowercase=True).is_identity


def test_text_options_unknown_normalisation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"normalization must be one of none, NFC, NFKC\. Received: .*'NFD'"):
        TextOptions("NFD")  # type: ignore[arg-type]
