"""The section `tuner`: which keys and values it takes, and what it says of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import graph
from pipeline.config import Config
from pipeline.config_file import dump_config, load_config
from pipeline.errors import UsageError
from pipeline.tuner_config import is_integer


def recipe(folder: Path, parameters: Any, **tuner: Any) -> Path:
    path = folder / "recipe.yaml"
    values = {
        "pipeline": {"name": "q"},
        "example_gen": {"source": "inline:hello"},
        "tuner": {"parameters": parameters, **tuner},
    }
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("model.units", {"low": 2, "high": 9}),
        ("model.units", {"low": 2, "high": 8, "step": 3}),
        ("trainer.optimizer.learning_rate", {"low": 1e-4, "high": 1, "log": True}),
        ("trainer.optimizer.clipnorm", {"low": 1, "high": 5}),
        ("trainer.optimizer.clipnorm", {"choices": [None, 1.0]}),
        ("trainer.length_warmup", {"choices": [None, {"length": 4, "steps": 10}]}),
        ("transform.specials", {"choices": [["end", "unk"], ["end", "unk", "pad"]]}),
        ("trainer.batch_size", {"choices": [32, 64]}),
    ],
)
def test_tuner_section_takes_ranges_and_choices_of_any_key(tmp_path: Path, key: str, values: Any) -> None:
    tuner = load_config(recipe(tmp_path, {key: values})).tuner
    assert tuner is not None
    assert list(tuner.parameters) == [key]


@pytest.mark.parametrize(
    ("parameters", "parts"),
    [
        ({"model.unit": {"low": 1, "high": 2}}, ["'model.unit'", "Did you mean 'model.units'?"]),
        ({"learning_rate": {"low": 0.1, "high": 0.2}}, ["Did you mean 'trainer.optimizer.learning_rate'?"]),
        (
            {"example_gen.source": {"choices": ["inline:a"]}},
            ["no key that can be searched", "transform, model, trainer"],
        ),
        ({"tuner.trials": {"low": 1, "high": 2}}, ["'tuner.trials' is no key that can be searched"]),
        ({"model.units": {"low": 9, "high": 2}}, ["model.units: low must be below high", "low=9 and high=2"]),
        ({"model.units": {"low": 2}}, ["model.units", "low and high, or choices"]),
        ({"model.units": {}}, ["model.units", "low and high, or choices"]),
        ({"model.units": {"low": 0, "high": 2}}, ["'model.units' cannot be 0", "greater than 0"]),
        ({"model.units": {"low": 1.5, "high": 2}}, ["'model.units' cannot be 1.5", "integer"]),
        ({"model.units": {"low": 2, "high": 4, "step": 0.5}}, ["'model.units' cannot be 2.5", "integer"]),
        ({"model.units": {"low": 2, "high": 7, "step": 2}}, ["a whole number of steps", "high=7", "step=2"]),
        ({"model.units": {"low": 2, "high": 8, "step": 2, "log": True}}, ["log and step exclude each other"]),
        ({"trainer.seed": {"low": 0, "high": 8, "log": True}}, ["log needs a low above 0", "0"]),
        ({"model.units": {"choices": []}}, ["model.units", "one or more"]),
        ({"model.units": {"choices": [4, 4]}}, ["none of them twice", "[4, 4]"]),
        ({"model.units": {"choices": [4], "low": 1}}, ["choices stand alone"]),
        ({"model.units": {"choices": 4}}, ["tuner.parameters.model.units.choices must be a list", "=4"]),
        ({"model.units": {"lo": 4}}, ["tuner.parameters.model.units.lo is not a known key", "Did you mean 'low'?"]),
        ({"model.units": 4}, ["tuner.parameters.model.units must be a mapping", "low, high", "=4"]),
        ({"model.activation": {"choices": ["tanh", "tan"]}}, ["'model.activation' cannot be 'tan'", "'tanh'"]),
        ({"model.activation": {"low": 1, "high": 2}}, ["'model.activation' is no number", "choices"]),
        (
            {
                "trainer.optimizer": {"choices": [{"name": "sgd"}]},
                "trainer.optimizer.learning_rate": {"low": 0.1, "high": 0.2},
            },
            ["'trainer.optimizer' holds 'trainer.optimizer.learning_rate'"],
        ),
        ({}, ["tuner.parameters must be a mapping", "low, high"]),
        (None, ["tuner.parameters must be a mapping"]),
    ],
)
def test_tuner_section_bad_parameters_are_refused_in_one_line(
    tmp_path: Path, parameters: Any, parts: list[str]
) -> None:
    with pytest.raises(UsageError) as error:
        load_config(recipe(tmp_path, parameters))
    assert "\n" not in str(error.value)
    for part in ["Config: ", "tuner", *parts]:
        assert part in str(error.value)


@pytest.mark.parametrize("key", ["sampler", "pruner"])
def test_tuner_section_unknown_method_is_refused_with_the_known_ones(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match=rf"tuner\.{key} must be 'none' or|tuner\.{key} must be 'random' or 'tpe'"):
        load_config(recipe(tmp_path, {"model.units": {"low": 1, "high": 2}}, **{key: "grid"}))


def test_tuner_section_null_turns_the_search_off(tmp_path: Path) -> None:
    path = recipe(tmp_path, {"model.units": {"low": 1, "high": 2}})
    assert load_config(path).tuner is not None
    assert load_config(path, ["tuner=null"]).tuner is None


def test_is_integer_tells_integers_from_other_numbers() -> None:
    keys = ["model.units", "trainer.batch_size", "trainer.optimizer.learning_rate", "trainer.optimizer.ema"]
    assert [is_integer(Config, key) for key in keys] == [True, True, False, False]


def test_stages_have_a_tuner_only_with_its_section(tmp_path: Path) -> None:
    config = load_config(recipe(tmp_path, {"model.units": {"low": 1, "high": 2}}))
    every = [stage.stage_name() for stage in graph.stages()]
    assert every[4:6] == ["tuner", "transform"]
    assert [stage.stage_name() for stage in graph.stages(config)] == every
    without = graph.stages(config.model_copy(update={"tuner": None}))
    assert [stage.stage_name() for stage in without] == [name for name in every if name != "tuner"]
    graph.producers(graph.stages(config))
    graph.producers(without)


def test_section_tuner_is_no_part_of_the_settings_of_other_stages(tmp_path: Path) -> None:
    config = load_config(recipe(tmp_path, {"model.units": {"low": 1, "high": 2}}))
    without = config.model_copy(update={"tuner": None})
    for stage in graph.stages(without):
        assert stage.from_config(config).settings() == stage.from_config(without).settings()


# ---- Recipes written ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["trainer.length_warmup={length: 4, steps: 9}", "trainer.save_every_seconds=null"],
        ["pipeline.name='1e5'", "example_gen.source=inline:ä: 'b' # c\n\t1e5 "],
        ["trainer.optimizer.learning_rate=1e-7", "example_gen.splits=same", "transform.beam.flink_master=x"],
    ],
)
def test_dump_config_reads_back_as_the_same(tmp_path: Path, overrides: list[str]) -> None:
    config = load_config(recipe(tmp_path, {"model.units": {"choices": [1, 2]}}), overrides)
    written = tmp_path / "written.yaml"
    written.write_text(dump_config(config))
    assert load_config(written) == config
