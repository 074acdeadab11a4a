"""Normalisation and lower case in the graph: equal to `unicodedata` and `str.lower` on every character and sequence."""

import functools
import itertools
import random
import unicodedata
from collections.abc import Callable, Sequence

import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.exporter import unicode
from components.exporter.unicode import UnicodeNormalizer
from components.transform.text_options import TextOptions
from tests.components.exporter.tokenizers_in_graph import Saved, strings, traced
from tests.components.transform.texts import AWKWARD, TEXTS

FORMS = ["NFC", "NFKC"]
CHARACTERS = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
MARKS = [c for c in CHARACTERS if unicodedata.combining(c)]
# Characters that have a canonical decomposition, the parts of it, and what composition excludes.
CANONICAL = [c for c in CHARACTERS if unicodedata.normalize("NFD", c) != c]
PARTS = sorted({part for c in CANONICAL if not "가" <= c <= "힣" for part in unicodedata.normalize("NFD", c)})
COMPATIBILITY = [c for c in CHARACTERS if unicodedata.normalize("NFKD", c) != unicodedata.normalize("NFD", c)]
JAMO = [chr(code) for start in (0x1100, 0x1161, 0x11A7) for code in range(start - 1, start + 29)]
SYLLABLES = ["가", "각", "갛", "개", "힣"]
# Starters that take marks, and some that are taken; marks of many classes, several of class 230; awkward characters.
TAKING = [*"aeAUαωक\u09c7\u09be\u0b47\u0b57\u0dd9\u0dcf각가"]
FEW_MARKS = [*"\u0338\u093c\u094d\u0dca\u0327\u031b\u0323\u0301\u0302\u0304\u0308\u0315\u0345"]
FEW = [*TAKING, *FEW_MARKS, *"\u0344\u0958\u212b\u1e9b\u0130ﬁΣ "]

SEQUENCES = st.text(
    st.one_of(
        st.sampled_from(FEW),
        st.sampled_from(FEW),
        st.sampled_from(MARKS),
        st.sampled_from(PARTS),
        st.sampled_from(CANONICAL),
        st.sampled_from(COMPATIBILITY),
        st.sampled_from(JAMO + SYLLABLES),
        st.characters(codec="utf-8"),
    ),
    max_size=30,
)


@functools.cache
def graph(form: str, lowercase: bool = False) -> Callable[[Sequence[str]], list[str]]:
    """The normaliser's graph, as a function of texts."""
    normalizer = traced(UnicodeNormalizer(form, lowercase), tf.RaggedTensorSpec([None, None], tf.int32))

    def normalize(texts: Sequence[str]) -> list[str]:
        codes = normalizer(tf.strings.unicode_decode(strings(texts), "UTF-8"))
        return [text.decode("utf-8") for text in tf.strings.unicode_encode(codes, "UTF-8").numpy().tolist()]

    return normalize


def assert_normalises(form: str, texts: Sequence[str]) -> None:
    # Compared one by one: pytest would take minutes to show how two long lists differ.
    for text, got in zip(texts, graph(form)(texts), strict=True):
        assert ascii(got) == ascii(unicodedata.normalize(form, text)), ascii(text)


# ---- Every character, every pair -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_normalise_every_character_alone_is_unicodedata(form: str) -> None:
    assert sum(unicodedata.normalize(form, c) != c for c in CHARACTERS) > 1000
    assert_normalises(form, CHARACTERS)


@pytest.mark.parametrize("form", FORMS)
def test_normalise_every_character_in_one_text_is_unicodedata(form: str) -> None:
    assert_normalises(form, ["".join(CHARACTERS), "".join(reversed(CHARACTERS))])


@pytest.mark.parametrize("form", FORMS)
def test_normalise_every_decomposition_is_composed_again(form: str) -> None:
    decomposed = [unicodedata.normalize("NFD", c) for c in CANONICAL]
    assert_normalises(form, decomposed)
    assert_normalises(form, [text[::-1] for text in decomposed])
    assert_normalises(form, [text[0] + "\u0334" + text[1:] for text in decomposed])
    assert_normalises(form, [text + "\u0301" + text for text in decomposed])


@pytest.mark.parametrize("form", FORMS)
def test_normalise_every_starter_before_every_mark_is_unicodedata(form: str) -> None:
    seconds = {unicodedata.normalize("NFD", c)[-1] for c in CANONICAL if unicodedata.normalize("NFC", c) == c}
    starters = {unicodedata.normalize("NFC", unicodedata.normalize("NFD", c)[:-1]) for c in CANONICAL} | {*JAMO, "x"}
    few = sorted(s for s in starters if len(s) == 1 and not "가" < s <= "힣")
    assert_normalises(form, [a + b for a, b in itertools.product(few, sorted(seconds | set(JAMO)))])


# ---- Sequences -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None, max_examples=300)
@given(st.lists(SEQUENCES, max_size=12))
@example([])
@example([""])
@example(["", "a\u0301", "\u0301", "", "\u0301\u0327a", AWKWARD])
def test_normalise_sequences_is_unicodedata(form: str, texts: list[str]) -> None:
    assert_normalises(form, texts)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "letters", [FEW, FEW[:15], JAMO[::7] + SYLLABLES, ["a", "\u0301", "\u0323", "\u0304", "\u1e01"]]
)
def test_normalise_thousands_of_short_sequences_is_unicodedata(form: str, letters: list[str]) -> None:
    source = random.Random(0)
    texts = ["".join(source.choices(letters, k=source.randrange(9))) for _ in range(20_000)]
    assert len({unicodedata.normalize(form, text) == text for text in texts}) == 2
    assert_normalises(form, texts)


@pytest.mark.parametrize("form", FORMS)
def test_normalise_long_runs_of_marks_is_unicodedata(form: str) -> None:
    source = random.Random(1)
    texts = ["a" + "".join(source.choices(MARKS, k=n)) + "e\u0301" for n in (1, 20, 300, 5000)]
    assert_normalises(form, [*texts, "".join(texts), "\u0301" * 1000, "a" + "\u0301\u0327" * 1000, "가" + "ᆨ" * 50])


@pytest.mark.parametrize(
    ("text", "composed"),
    [
        ("a\u0323\u0302", "ậ"),  # two in a row
        ("a\u0302\u0323", "ậ"),  # out of order
        ("a\u0301\u0301", "á\u0301"),  # the second is blocked by nothing, and has no composite
        ("a\u0304\u0301\u0308", "ā\u0301\u0308"),  # ¨ is blocked by ´, of the same class
        ("a\u0315\u0300", "à\u0315"),  # ordering makes way
        ("\u1100\u1161\u11a8\u11a8", "각\u11a8"),
        ("\u1100\u0301\u1161", "\u1100\u0301\u1161"),  # a mark between two starters blocks
        ("\u09c7\u09be", "\u09cb"),  # two starters
        ("\u0958", "\u0915\u093c"),  # excluded from composition
        ("\u212b\u2126", "ÅΩ"),  # singletons
        ("\u0344", "\u0308\u0301"),
    ],
)
def test_normalise_nfc_of_known_cases(text: str, composed: str) -> None:
    assert unicodedata.normalize("NFC", text) == composed, "please fix the test"
    assert graph("NFC")([text]) == [composed]


def test_normalise_marks_that_join_nothing_are_ordered() -> None:
    # Alone in its batch: nothing else is there that would have to change.
    assert graph("NFC")(["x\u0315\u0334"]) == ["x\u0334\u0315"]


def test_normalise_marks_at_the_start_of_a_row_stay_in_it() -> None:
    assert graph("NFC")(["a", "\u0301\u0323", "e\u0327", "\u0301"]) == ["a", "\u0323\u0301", "ȩ", "\u0301"]
    assert graph("NFC")(["\u1100", "\u1161", "\u11a8"]) == ["\u1100", "\u1161", "\u11a8"]


@pytest.mark.parametrize("form", FORMS)
def test_normalise_text_that_is_normalised_is_not_touched(form: str) -> None:
    normalizer = UnicodeNormalizer(form, lowercase=False)
    texts = ["plain ASCII", "日本語 über Ω 각", ""]
    codes = tf.strings.unicode_decode(strings(texts), "UTF-8")

    def refuse(*_: object) -> None:
        raise AssertionError("composed")

    normalizer._normalize._compose = refuse
    assert normalizer(codes).to_list() == codes.to_list()
    with pytest.raises(AssertionError, match="composed"):
        normalizer(tf.strings.unicode_decode(strings(["e\u0301"]), "UTF-8"))


# ---- Lower case ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("form", ["none", *FORMS])
def test_lower_case_of_every_character_is_pythons(form: str) -> None:
    options = TextOptions(form, lowercase=True)
    got = graph(form, True)(CHARACTERS)
    wrong = [c for c, lower in zip(CHARACTERS, got, strict=True) if lower != options.apply(c)]
    assert [*map(ascii, wrong)] == []


@pytest.mark.parametrize("form", ["none", *FORMS])
@settings(deadline=None)
@given(st.lists(TEXTS | SEQUENCES, max_size=5))
@example(["\u0130I\u0307", "", "ΟΔΟΣ", "ABC"])
def test_lower_case_of_texts_is_pythons(form: str, texts: list[str]) -> None:
    assert graph(form, True)(texts) == [TextOptions(form, lowercase=True).apply(text) for text in texts]


@settings(deadline=None)
@given(st.lists(TEXTS | SEQUENCES, max_size=5))
def test_without_options_texts_stay_as_they_are(texts: list[str]) -> None:
    assert graph("none")(texts) == texts


# ---- Elsewhere -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_normaliser_saved_is_the_same_in_a_process_with_tensorflow_alone(client, tmp_path, form: str) -> None:
    normalizer = UnicodeNormalizer(form, lowercase=True)
    saved = Saved(
        lambda text: normalizer(tf.strings.unicode_decode(text, "UTF-8")), tmp_path / "model", client, normalizer
    )
    options = TextOptions(form, lowercase=True)
    for texts in (["".join(CHARACTERS), "", "A\u0323\u0302 ﬁ"], [], ["plain"]):
        assert saved(texts) == [[*map(ord, options.apply(text))] for text in texts]
    assert not {"components", "pipeline"} & saved.imports()


def test_normaliser_of_a_unicode_with_chains_of_compositions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unicode, "_compositions", lambda: {(0x41, 0x42): 0x43, (0x42, 0x44): 0x45})
    with pytest.raises(ValueError, match=r"UnicodeNormalizer: no character must be the first of one composition and"):
        UnicodeNormalizer("NFC", lowercase=False)
