"""Keys of the section `model` that a task or an encoder does not read are refused, by name."""

import pydantic
import pytest

from pipeline.model_config import ENCODERS_THAT_READ, TASKS_THAT_READ, ModelConfig

OTHER_VALUES = {
    "tied": True,
    "skip_connections": True,
    "encoder": "positions",
    "bidirectional": True,
    "pooling": "max",
    "image": "linear",
    "context": "every",
    "stop": "stop_head",
    "activation": "relu",
    "recurrent_initializer": "identity",
    "dropout.recurrent": 0.5,
}
TASKS = ("language_model", "classification", "tagging", "seq2seq", "captioning", "regression_sequence")


def arguments(key: str) -> dict[str, object]:
    """The key with a value that is not its default, and what else that value needs."""
    outer, _, inner = key.partition(".")
    value = OTHER_VALUES[key]
    return {outer: {inner: value} if inner else value} | ({"embedding": 256} if key == "tied" else {})


@pytest.mark.parametrize("key", list(TASKS_THAT_READ))
@pytest.mark.parametrize("task", TASKS)
def test_model_key_is_taken_by_the_tasks_that_read_it_and_refused_by_the_others(task: str, key: str) -> None:
    if task in TASKS_THAT_READ[key]:
        ModelConfig.model_validate({"task": task, **arguments(key)})
        return
    with pytest.raises(pydantic.ValidationError, match=rf"{key} is for .*, not for {task}\. Leave it out"):
        ModelConfig.model_validate({"task": task, **arguments(key)})


@pytest.mark.parametrize("key", list(ENCODERS_THAT_READ))
@pytest.mark.parametrize("encoder", ["rnn", "positions", "mean", "concatenate"])
def test_model_key_of_an_encoder_is_refused_for_the_others(encoder: str, key: str) -> None:
    values = {"task": "classification", "encoder": encoder, **arguments(key)}
    if encoder in ENCODERS_THAT_READ[key]:
        ModelConfig.model_validate(values)
        return
    with pytest.raises(
        pydantic.ValidationError, match=f"{key} does nothing in the task classification with the encoder {encoder}"
    ):
        ModelConfig.model_validate(values)


@pytest.mark.parametrize("key", ["activation", "recurrent_initializer", "dropout.recurrent"])
def test_model_key_of_recurrent_layers_is_for_a_writer_whatever_the_encoder(key: str) -> None:
    values = {"encoder": "mean", **arguments(key)}
    ModelConfig.model_validate({"task": "seq2seq", **values})
    with pytest.raises(pydantic.ValidationError, match=f"{key} does nothing"):
        ModelConfig.model_validate({"task": "classification", **values})


def test_model_written_out_in_full_is_taken_by_every_task() -> None:
    for task in TASKS:
        model = ModelConfig.model_validate({"task": task})
        assert ModelConfig.model_validate(model.model_dump()) == model


def test_tagging_needs_an_encoder_that_keeps_positions() -> None:
    with pytest.raises(pydantic.ValidationError, match="keeps positions, rnn and positions; received mean"):
        ModelConfig.model_validate({"task": "tagging", "encoder": "mean"})
