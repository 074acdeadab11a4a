"""The places that know tasks by name: all of them know all."""

import typing

import pytest

from components.heavy_imports import import_quietly
from components.tasks.catalogue import EXAMPLE_TASKS, model_class
from components.tasks.example_task import ExampleModel
from components.tasks.language_model import LanguageModel
from pipeline import evaluator_config
from pipeline.config import Config, ModelConfig, ThresholdsConfig
from pipeline.evaluator_config import TASK_METRICS

OF_EXAMPLES = import_quietly("components.infra_validator.example_check").OF_EXAMPLES
IN_CONFIGURATIONS = typing.get_args(ModelConfig.model_fields["task"].annotation)


def forgotten(model):
    """The places that do not know a task of examples."""
    places = {
        "components/tasks/catalogue.py": model.task in EXAMPLE_TASKS,
        "pipeline/model_config.py: ModelConfig.task": model.task in IN_CONFIGURATIONS,
        "pipeline/evaluator_config.py: TASK_METRICS": model.task in TASK_METRICS,
        "components/infra_validator/example_check.py: OF_EXAMPLES": model.signature in OF_EXAMPLES,
    }
    return [place for place, knows_it in places.items() if not knows_it]


class Unlisted(ExampleModel):
    task = "unlisted"
    signature = "guess"


def test_task_is_known_in_every_place():
    models = [model for model in EXAMPLE_TASKS.values() if forgotten(model)]

    assert {model.task: forgotten(model) for model in models} == {}
    assert len(forgotten(Unlisted)) == 4  # guard


def test_places_know_no_task_that_there_is_not():
    names = {LanguageModel.task, *EXAMPLE_TASKS}

    assert set(IN_CONFIGURATIONS) == names
    assert set(TASK_METRICS) == names
    assert set(OF_EXAMPLES) == {model.signature for model in EXAMPLE_TASKS.values()}
    assert all(model_class(name).task == name for name in names)


def test_thresholds_are_those_of_the_tasks_metrics():
    assert set(ThresholdsConfig.model_fields) == {name for metrics in TASK_METRICS.values() for name in metrics}


def test_task_without_metrics_is_refused_with_the_place_to_add_them(monkeypatch):
    known = {task: metrics for task, metrics in TASK_METRICS.items() if task != "tagging"}
    monkeypatch.setattr(evaluator_config, "TASK_METRICS", known)

    with pytest.raises(ValueError, match=r"metrics of the task tagging.*pipeline/evaluator_config\.py.*Add the task"):
        Config.model_validate(
            {
                "pipeline": {"name": "a"},
                "example_gen": {"source": "inline:a"},
                "transform": {"records": "examples"},
                "model": {"task": "tagging"},
            }
        )
