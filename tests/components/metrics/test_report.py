"""Figures beside their baselines."""

import math

import pytest

from components.metrics.bootstrap import Measured
from components.metrics.report import figures_table

FIGURES = {"accuracy": Measured(0.91234, 0.9, 0.925), "BLEU": Measured(31.987, 29.1, 34.25)}


def test_figures_table_has_value_interval_and_baselines():
    header, accuracy, bleu = figures_table(
        FIGURES, {"majority class": {"accuracy": 0.5}, "copied": {"accuracy": 0.125, "BLEU": 3.25}}
    ).splitlines()

    assert header.split("  ")[0] == "figure"
    assert header.split()[1:] == ["value", "95%", "interval", "majority", "class", "copied"]
    assert accuracy.split() == ["accuracy", "0.9123", "0.9000", "…", "0.9250", "0.5000", "0.1250"]
    assert bleu.split() == ["BLEU", "31.99", "29.10", "…", "34.25", "3.250"]
    # What a baseline does not have is left blank under its name.
    assert bleu.index("3.250") > header.index("class")


def test_figures_table_without_baselines_has_none():
    assert figures_table(FIGURES, {}).splitlines()[1].split() == ["accuracy", "0.9123", "0.9000", "…", "0.9250"]


@pytest.mark.parametrize(
    ("value", "shown"), [(math.nan, "–"), (0.0, "0.000"), (1.0, "1.000"), (1234.4, "1234"), (-0.5, "-0.5000")]
)
def test_figures_table_numbers_have_four_digits(value, shown):
    line = figures_table({"x": Measured(value, 0.0, 1.0)}, {"b": {"x": value}}).splitlines()[1].split()

    assert line[1] == line[-1] == shown


def test_figures_table_refuses_a_baseline_of_something_else():
    with pytest.raises(ValueError, match="Received: recall, beside accuracy, BLEU"):
        figures_table(FIGURES, {"b": {"recall": 0.5}})
