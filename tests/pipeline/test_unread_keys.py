"""Keys outside the section `model` that nothing would read are refused, by name."""

from typing import Any

import pydantic
import pytest

from pipeline.config import OF_LANES, TASKS_THAT_READ, Config

TASKS = ("language_model", "classification", "tagging", "seq2seq", "captioning", "regression_sequence")
OTHER_VALUES: dict[str, Any] = {
    "transform.target": {"lowercase": True},
    "transform.lanes": 7,
    "transform.window_length": 99,
    "trainer.truncation_length": 99,
    "trainer.update_interval": 9,
    "trainer.length_warmup": {"steps": 9},
    "evaluator.beam_width": 4,
    "evaluator.show_probabilities": 5,
}


def config(task: str, records: str, *keys: str) -> Config:
    """A configuration with other values than the default for these keys."""
    sections: dict[str, Any] = {
        "pipeline": {"name": "q"},
        "example_gen": {"source": "inline:hello"},
        "model": {"task": task},
        "transform": {"records": records},
    }
    for key in keys:
        section, _, name = key.partition(".")
        sections.setdefault(section, {})[name] = OTHER_VALUES[key]
    return Config.model_validate(sections)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("key", TASKS_THAT_READ)
def test_config_key_is_taken_by_the_tasks_that_read_it_and_refused_by_the_others(key: str, task: str) -> None:
    if task in TASKS_THAT_READ[key]:
        config(task, "examples", key)
        return
    with pytest.raises(pydantic.ValidationError, match=rf"{key} is for the task .*, not for {task}\. Leave it out"):
        config(task, "examples", key)


@pytest.mark.parametrize("key", OF_LANES)
def test_config_key_of_lanes_is_refused_for_examples(key: str) -> None:
    config("language_model", "lanes", key)
    with pytest.raises(pydantic.ValidationError, match=rf"{key} is for lanes; .* Leave it out"):
        config("classification", "examples", key)


@pytest.mark.parametrize("task", TASKS)
def test_config_written_out_in_full_is_taken(task: str) -> None:
    found = config(task, "lanes" if task == "language_model" else "examples")
    assert Config.model_validate(found.model_dump()) == found


def test_config_of_a_language_model_may_change_its_records_alone() -> None:
    for key in ("transform.lanes", "transform.window_length"):
        assert config("language_model", "examples", key).transform.records == "examples"
