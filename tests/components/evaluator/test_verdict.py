"""The verdict: bounds, changes against the last blessed model, and slices, each in a sentence with the numbers."""

import math
import re

import numpy as np
import pytest

from components.evaluator.evaluation import Figures
from components.evaluator.verdict import Baseline, comparison, comparison_table, refusals
from components.metrics.bootstrap import Sums, ratio
from pipeline.config import ThresholdsConfig

VALUES = {"nats": 1.5, "bits_per_char": 2.164, "perplexity": 4.482}


def sums(value, spread=0.0, examples=8):
    """A mean over examples; `spread` apart, two values in turn."""
    each = value + spread * np.resize([1.0, -1.0], examples)
    return Sums(np.stack([each, np.ones(examples)], axis=1), ratio)


def figures(slices=None, **values):
    per_slice = {name: {"bits_per_char": sums(value)} for name, value in (slices or {}).items()}
    return Figures({name: sums(value) for name, value in (VALUES | values).items()}, per_slice)


def before(slices=None, incomparable=None, **values):
    return Baseline("trainer 3", figures(slices, **values), incomparable or {})


def thresholds(**bounds):
    return ThresholdsConfig.model_validate(bounds)


# ---- Bounds ---------------------------------------------------------------------------------------------------------


def test_refusals_without_thresholds_is_empty():
    assert refusals(figures(), thresholds()) == []


@pytest.mark.parametrize("bounds", [{"upper": 2.2}, {"lower": 2.1}, {"upper": 2.164, "lower": 2.164}])
def test_refusals_inside_the_bounds_is_empty(bounds):
    assert refusals(figures(), thresholds(bits_per_char=bounds)) == []


def test_refusals_above_upper_names_value_interval_and_threshold():
    now = Figures({"bits_per_char": sums(2.164, spread=0.5, examples=400)}, {})
    (sentence,) = refusals(now, thresholds(bits_per_char={"upper": 2.1}))

    found = re.fullmatch(
        r"eval bits_per_char is 2\.1640 \(95 % interval (\S+) … (\S+)\), and the threshold allows at most 2\.1\.",
        sentence,
    )
    half = 1.96 * 0.5 / math.sqrt(400)
    assert [float(end) for end in found.groups()] == pytest.approx([2.164 - half, 2.164 + half], abs=0.01)


def test_refusals_below_lower_names_value_and_threshold():
    (sentence,) = refusals(figures(), thresholds(perplexity={"lower": 5.0}))
    assert sentence.startswith(
        "eval perplexity is 4.4820 (95 % interval 4.4820 … 4.4820), and the threshold asks for at"
    )


def test_refusals_has_a_sentence_for_each_missed_bound():
    bounds = thresholds(nats={"upper": 1.0}, bits_per_char={"upper": 2.0}, perplexity={"upper": 5.0})

    assert [sentence.split()[1] for sentence in refusals(figures(), bounds)] == ["nats", "bits_per_char"]


@pytest.mark.parametrize("bounds", [{"upper": 2.0}, {"lower": 2.0}])
def test_refusals_nan_misses_every_bound(bounds):
    assert len(refusals(figures(nats=math.nan), thresholds(nats=bounds))) == 1


def test_refusals_of_a_metric_that_the_model_has_not_is_an_error():
    with pytest.raises(ValueError, match=r"on a metric of the model.*evaluator.thresholds.bleu"):
        refusals(figures(), thresholds(bleu={"lower": 5.0}))


# ---- Changes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "now", "then", "change", "blessed"),
    [
        ("nats", 1.5, 1.5, {"absolute": 0.0}, True),
        ("nats", 1.51, 1.5, {"absolute": 0.02}, True),
        ("nats", 1.53, 1.5, {"absolute": 0.02}, False),
        ("nats", 1.4, 1.5, {"absolute": 0.0}, True),
        ("nats", 1.45, 1.5, {"absolute": -0.1}, False),
        ("nats", 1.35, 1.5, {"absolute": -0.1}, True),
        ("nats", 1.53, 1.5, {"relative": 0.03}, True),
        ("nats", 1.56, 1.5, {"relative": 0.03}, False),
        ("nats", 1.53, 1.5, {"absolute": 0.02, "relative": 0.03}, False),
        ("accuracy", 0.71, 0.7, {"absolute": 0.0}, True),
        ("accuracy", 0.69, 0.7, {"absolute": 0.0}, False),
        ("accuracy", 0.69, 0.7, {"absolute": 0.02}, True),
        ("accuracy", 0.69, 0.7, {"relative": 0.01}, False),
        ("accuracy", 0.72, 0.7, {"absolute": -0.05}, False),
        ("accuracy", math.nan, 0.7, {"absolute": 9.0}, False),
        ("mse", 0.0, 0.0, {"relative": 0.1}, True),
        ("mse", 0.1, 0.0, {"relative": 0.1}, False),
    ],
)
def test_refusals_change_is_in_the_direction_of_the_metric(metric, now, then, change, blessed):
    bounds = thresholds(**{metric: {"change": change}})
    assert (refusals(figures(**{metric: now}), bounds, before(**{metric: then})) == []) == blessed


def test_refusals_change_is_not_judged_without_a_blessed_model():
    assert refusals(figures(nats=99.0), thresholds(nats={"change": {"absolute": 0.0}})) == []
    assert len(refusals(figures(nats=99.0), thresholds(nats={"upper": 9.0, "change": {"absolute": 0.0}}))) == 1


def test_refusals_change_tells_both_values_the_interval_and_the_tolerance():
    bounds = thresholds(bits_per_char={"change": {"absolute": 0.01, "relative": 0.02}})
    first, second = refusals(figures(bits_per_char=2.4), bounds, before(bits_per_char=2.3))

    assert first == (
        "eval bits_per_char is 2.4000, 0.1000 worse than the 2.3000 of the last blessed model, trainer 3, on the same "
        "data (95 % interval of the difference 0.1000 … 0.1000), and the threshold allows 0.01 at most."
    )
    assert second.endswith("and the threshold allows 0.02 of it, 0.046, at most.")


def test_refusals_change_that_asks_for_better_says_so():
    bounds = thresholds(bits_per_char={"change": {"absolute": -0.2}})
    (sentence,) = refusals(figures(bits_per_char=2.2), bounds, before(bits_per_char=2.3))

    assert "is 2.2000, 0.1000 better than the 2.3000" in sentence
    assert sentence.endswith("and the threshold asks for 0.2 better at least.")


def test_refusals_change_of_what_does_not_compare_is_refused_with_the_reason():
    bounds = thresholds(nats={"change": {"absolute": 9.0}}, bits_per_char={"change": {"absolute": 9.0}})
    (sentence,) = refusals(figures(), bounds, before(incomparable={"nats": "it has another vocabulary"}))

    assert sentence == (
        "eval nats cannot be held against the last blessed model's, trainer 3: it has another vocabulary."
    )


def test_comparison_pairs_the_examples():
    hard = np.random.default_rng(0).uniform(1, 9, 500)  # what both find hard
    then, now = (Sums(np.stack([hard + more, np.ones(500)], axis=1), ratio) for more in (0.0, 0.1))
    found = comparison(Figures({"nats": now}, {}), Baseline("trainer 3", Figures({"nats": then}, {}), {}))

    assert found["nats"]["difference"] == pytest.approx(0.1)
    assert found["nats"]["interval"] == pytest.approx([0.1, 0.1])  # not the 0.4 of two figures on their own
    assert "+0.1000  worse" in " ".join(comparison_table(found, before()).split()).replace(" … +0.1000 ", "  ")


# ---- Slices ---------------------------------------------------------------------------------------------------------

SLICES = {"document=a": 2.0, "document=b": 3.0, "document=c": 2.5, "length=10-19": 9.0}


def test_refusals_slice_by_dimension_is_every_slice_of_it_the_worst_first():
    bounds = thresholds(bits_per_char={"slices": {"document": {"upper": 2.2}}})
    sentences = refusals(figures(SLICES), bounds)

    assert [sentence.split()[3] for sentence in sentences] == ["document=b", "document=c"]


def test_refusals_slice_by_value_is_that_slice_alone():
    bounds = thresholds(bits_per_char={"slices": {"document=c": {"upper": 2.2}}})
    assert [sentence.split()[3] for sentence in refusals(figures(SLICES), bounds)] == ["document=c"]


def test_refusals_slice_that_has_no_example_is_refused():
    bounds = thresholds(bits_per_char={"slices": {"document=z": {"upper": 2.2}}})
    assert refusals(figures(SLICES), bounds) == [
        "eval bits_per_char of document=z has no example, and a threshold is on it."
    ]


def test_refusals_of_many_slices_are_five_and_a_count():
    bounds = thresholds(bits_per_char={"slices": {"document": {"upper": 2.2}}})
    sentences = refusals(figures({f"document={i}": 3.0 + i for i in range(9)}), bounds)

    assert [sentence.split()[3] for sentence in sentences[:5]] == [f"document={i}" for i in (8, 7, 6, 5, 4)]
    assert sentences[5:] == ["eval bits_per_char: 4 more of 9 slices by document miss that, too."]


def test_refusals_slice_change_is_against_the_same_slice():
    bounds = thresholds(bits_per_char={"slices": {"document": {"change": {"absolute": 0.1}}}})
    then = {"document=a": 2.0, "document=b": 2.5, "document=c": 2.5}
    (sentence,) = refusals(figures(SLICES), bounds, before(then))

    assert sentence.startswith("eval bits_per_char of document=b is 3.0000, 0.5000 worse than the 2.5000")


def test_refusals_slice_change_of_slices_that_do_not_compare_is_refused():
    bounds = thresholds(bits_per_char={"slices": {"document": {"change": {"absolute": 9.0}}}})
    sentences = refusals(figures({"document=a": 2.0}), bounds, before({"document=a": 2.0}, {"document": "why not"}))
    assert sentences == [
        "eval bits_per_char of document=a cannot be held against the last blessed model's, trainer 3: why not."
    ]
