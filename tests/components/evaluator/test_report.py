"""The tables."""

import numpy as np

from components.evaluator.evaluation import Figures
from components.evaluator.report import metrics_table, probability_table, worst_documents
from components.metrics.bootstrap import Sums, ratio

METRICS = {"nats": 1.5, "bits_per_char": 2.164, "perplexity": 4.482, "tokens": 10}
INTERVALS = {"intervals": {"bits_per_char": [2.1, 2.25]}}


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


def test_worst_documents_come_first_and_ten_are_shown():
    def bits(value):
        return {"bits_per_char": Sums(np.asarray([[value * 7, 7.0, 7.0]]), ratio)}

    slices = {f"document=d{i}": bits(float(i)) for i in (*range(6, 13), *range(6))}
    lines = worst_documents(Figures({}, {**slices, "length=0-9": bits(99.0)})).splitlines()

    assert lines[0].startswith("eval: the worst of 13 documents")
    assert [line.split() for line in lines[1:]] == [[f"d{i}", "7", f"{i:.4f}"] for i in range(12, 2, -1)]
    assert worst_documents(Figures({}, {"document=one": bits(1.0)})) == ""
