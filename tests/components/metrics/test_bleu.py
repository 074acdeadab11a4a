"""BLEU from sums against sacreBLEU's corpus_bleu on the texts themselves."""

from itertools import zip_longest

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from components.metrics.bleu import bleu, bleu_counts, bleu_signature
from components.metrics.bootstrap import measure

TEXT = st.lists(st.sampled_from(["a", "b", "the", "cat,", "sat.", "don't"]), max_size=9).map(" ".join)
CORPUS = st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3)), min_size=1, max_size=6)

GENERATED = [
    "A man in a blue shirt is standing on a ladder.",
    "Two dogs run through the snow",
    "a child plays with a ball in the park",
    "A woman, smiling, holds a red umbrella!",
]
REFERENCES = [
    ["A man in a blue shirt stands on a ladder.", "A man is standing on a ladder cleaning a window."],
    ["Two dogs are running through the deep snow."],
    ["A child plays with a ball in the park."],
    ["A smiling woman holds an umbrella.", "A woman holds a red umbrella!"],
]


def sacrebleu_of(generated, references, **arguments):
    return sacrebleu.corpus_bleu(generated, list(zip_longest(*references)), force=True, **arguments).score


@settings(deadline=None)
@given(CORPUS, st.sampled_from(["13a", "none"]))
def test_bleu_of_any_corpus_is_sacrebleus(corpus, tokenize):
    generated, references = zip(*corpus, strict=True)

    counted = bleu_counts(generated, references, tokenize)

    expected = sacrebleu_of(generated, references, tokenize=tokenize)
    assert bleu(counted.sum(axis=0)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("tokenize", ["13a", "none", "char", "zh", "intl"])
def test_bleu_of_captions_is_sacrebleus_for_every_tokenizer(tokenize):
    counted = bleu_counts(GENERATED, REFERENCES, tokenize)

    assert bleu(counted.sum(axis=0)) == pytest.approx(sacrebleu_of(GENERATED, REFERENCES, tokenize=tokenize), abs=1e-9)
    assert f"|tok:{tokenize}|" in bleu_signature(REFERENCES, tokenize)


def test_bleu_depends_on_the_tokenizer():
    """Guard of the test above: the tokenizers are not all the same."""
    found = {round(sacrebleu_of(GENERATED, REFERENCES, tokenize=tokenize), 3) for tokenize in ("13a", "none", "char")}

    assert len(found) == 3


@pytest.mark.parametrize(
    ("generated", "references", "smoothed"),
    [
        (["a b c x y"], [["a b c d e f"]], True),  # no 4-gram matches; too short
        (["x a y b z"], [["a q b"]], True),  # only single words match
        (["x y z w"], [["a b c d"]], False),  # nothing matches
        (["a b c"], [["a b c"]], False),  # there is no 4-gram
        ([""], [["a b c d"]], False),
    ],
)
def test_bleu_without_matches_of_an_order_is_smoothed_as_sacrebleu_does(generated, references, smoothed):
    found = bleu(bleu_counts(generated, references).sum(axis=0))

    assert found == pytest.approx(sacrebleu_of(generated, references), abs=1e-9)
    assert (found > 0) == smoothed


def test_bleu_of_resamples_is_that_of_resampled_texts():
    statistics = bleu_counts(GENERATED, REFERENCES)
    drawn = np.random.default_rng(0).integers(4, size=(15, 4))

    found = bleu(statistics[drawn].sum(axis=1))

    expected = [sacrebleu_of([GENERATED[i] for i in row], [REFERENCES[i] for i in row]) for row in drawn]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert len(set(np.round(expected, 6))) > 5


def test_bleu_measured_lies_inside_its_interval():
    found = measure(bleu_counts(GENERATED, REFERENCES), bleu)

    assert 0 < found.low < found.value < found.high <= 100


def test_bleu_of_equal_texts_is_100():
    assert bleu(bleu_counts(GENERATED, [[text] for text in GENERATED]).sum(axis=0)) == pytest.approx(100)


@pytest.mark.parametrize("numbers", [(1, 1), (2, 2), (1, 3)])
def test_bleu_signature_is_sacrebleus_for_the_corpus(numbers):
    generated, references = GENERATED[:2], [["a b"] * number for number in numbers]
    metric = BLEU()
    metric.corpus_score(generated, list(zip_longest(*references)))

    signature = bleu_signature(references)

    assert signature == str(metric.get_signature())
    assert f"nrefs:{numbers[0] if len(set(numbers)) == 1 else 'var'}|" in signature
    assert "|eff:no|" in signature
    assert "|smooth:exp|" in signature


def test_bleu_of_tokenised_text_says_nothing(caplog):
    bleu_counts(["a b ."] * 120, [["a b ."]] * 120, tokenize="none")
    bleu_signature([["a b ."]] * 120, tokenize="none")

    assert caplog.records == []


@pytest.mark.parametrize(
    ("generated", "references", "tokenize", "error", "message"),
    [
        ([], [], "13a", ValueError, "at least one text"),
        (["a"], [["a"]], "moses", ValueError, "tokenize must be one of 13a, .*Received: tokenize='moses'"),
        ([["a", "b"]], [[["a", "b"]]], "none", TypeError, "generated must be texts.*Join tokens by spaces"),
        (["a"], ["a"], "13a", TypeError, "references must be a list for each example"),
        (["a"], [[]], "13a", ValueError, "at least one sequence for each example"),
        (["a"], [["a"], ["b"]], "13a", ValueError, "must be as many"),
    ],
)
def test_bleu_counts_refuse_what_is_not_text_with_references(generated, references, tokenize, error, message):
    with pytest.raises(error, match=f"bleu_counts: .*{message}"):
        bleu_counts(generated, references, tokenize)
