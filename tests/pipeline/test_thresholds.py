"""Thresholds that no model can meet, or that are on nothing, are refused when the configuration is read."""

from typing import Any

import pydantic
import pytest

from pipeline.config import Config


def read(thresholds: dict[str, Any]) -> Config:
    return Config.model_validate(
        {"pipeline": {"name": "x"}, "example_gen": {"source": "inline:x"}, "evaluator": {"thresholds": thresholds}}
    )


@pytest.mark.parametrize(
    ("thresholds", "said"),
    [
        ({"nats": {"upper": 1, "lower": 2}}, "upper must be at least lower, 2; received 1"),
        ({"nats": {"slices": {"document": {"upper": 1, "lower": 2}}}}, "upper must be at least lower, 2; received 1"),
        ({"bleu": {"lower": 1}}, "bleu must be on a metric of the task language_model"),
        ({"nats": {"slices": {"class": {"upper": 1}}}}, "by what the task language_model is sliced by"),
        ({"nats": {"slices": {"character=vowels": {"upper": 1}}}}, "characters are letters, digits"),
        *(
            ({"nats": {"slices": {f"length={value}": {"upper": 1}}}}, "lengths are 0-9, 10-19, 20-49")
            for value in ("3-7", "10-29", "10", "0-9x", "long", "", "00-9", "9" * 30)
        ),
    ],
)
def test_threshold_that_cannot_be_met_is_refused(thresholds: dict[str, Any], said: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=said):
        read(thresholds)


@pytest.mark.parametrize("value", ["length", "length=0-9", "length=20-49", "length=1000-1999", "character=digits"])
def test_threshold_on_a_slice_that_there_is_is_taken(value: str) -> None:
    bound = read({"nats": {"upper": 2, "lower": 2, "slices": {value: {"upper": 1}}}}).evaluator.thresholds.nats
    assert (bound.upper, bound.lower, list(bound.slices)) == (2, 2, [value])
