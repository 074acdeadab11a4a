"""The verdict and the tables."""

import math

import numpy as np
import pytest

from components.evaluator.report import metrics_table, probability_table, refusals
from pipeline.config import ThresholdsConfig

METRICS = {"nats": 1.5, "bits_per_char": 2.164, "perplexity": 4.482, "tokens": 10}
INTERVALS = {"intervals": {"bits_per_char": [2.1, 2.25]}}


def thresholds(**bounds):
    return ThresholdsConfig.model_validate(bounds)


def test_refusals_without_thresholds_is_empty():
    assert refusals(METRICS, thresholds()) == []


@pytest.mark.parametrize("bounds", [{"upper": 2.2}, {"lower": 2.1}, {"upper": 2.164, "lower": 2.164}])
def test_refusals_inside_the_bounds_is_empty(bounds):
    assert refusals(METRICS, thresholds(bits_per_char=bounds)) == []


def test_refusals_above_upper_names_value_and_threshold():
    assert refusals(METRICS, thresholds(bits_per_char={"upper": 2.1})) == [
        "eval bits_per_char is 2.1640, and the threshold allows at most 2.1."
    ]


def test_refusals_below_lower_names_value_and_threshold():
    assert refusals(METRICS, thresholds(perplexity={"lower": 5.0})) == [
        "eval perplexity is 4.4820, and the threshold asks for at least 5."
    ]


def test_refusals_has_a_sentence_for_each_missed_bound():
    missed = refusals(METRICS, thresholds(nats={"upper": 1.0}, bits_per_char={"upper": 2.0}, perplexity={"upper": 5.0}))

    assert [sentence.split()[1] for sentence in missed] == ["nats", "bits_per_char"]


@pytest.mark.parametrize("bounds", [{"upper": 2.0}, {"lower": 2.0}])
def test_refusals_nan_misses_every_bound(bounds):
    assert len(refusals({**METRICS, "nats": math.nan}, thresholds(nats=bounds))) == 1


def test_refusals_of_a_metric_that_the_model_has_not_is_an_error():
    with pytest.raises(ValueError, match=r"on a metric of the model.*evaluator.thresholds.bleu"):
        refusals(METRICS, thresholds(bleu={"lower": 5.0}))


def test_metrics_table_has_every_number_of_every_split():
    baselines = {
        "unigram": {"bits_per_char": 4.7891, "gain": 2.6251},
        "trigram": {"bits_per_char": 2.0118, "gain": -0.1522},
    }

    header, first, second = metrics_table(
        {
            "eval": METRICS | INTERVALS | {"baselines": baselines},
            "test": METRICS | INTERVALS | {"tokens": 123456, "baselines": baselines},
        }
    ).splitlines()

    assert header.split()[:5] == ["split", "tokens", "nats", "bits_per_char", "perplexity"]
    assert first.split()[:8] == ["eval", "10", "1.5000", "2.1640", "4.482", "2.1000", "…", "2.2500"]
    assert first.split()[8:] == ["4.789", "(+2.625)", "2.012", "(-0.152)"]
    assert second.split()[:2] == ["test", "123,456"]


def test_probability_table_stars_the_target_of_each_step():
    p = np.asarray([[0.7, 0.2, 0.1], [0.25, 0.15, 0.6]])

    _, header, first, second = probability_table(["<end>", "\n"], ["\n", " "], ["<end>", "\n", " "], p).splitlines()

    assert header.split() == ["<end>", "\\n", "␣"]
    assert first.split() == ["<end>", "0.70", "0.20*", "0.10"]
    assert second.split() == ["\\n", "0.25", "0.15", "0.60*"]
