"""What the Keras model itself answers to a few requests: `python -m components.infra_validator.reference MODEL GRAPH`.

Prints them as JSON, with the answers that the served model has to give: {"signature", "inputs", "outputs"} each.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from components.tasks.example_task import ExampleModel, Spec
from components.tasks.files import load
from components.tasks.generating import GeneratingModel
from components.tasks.language_model import LanguageModel
from components.transform.tokenizers import Tokenizer
from components.transform.tokenizers import load as load_tokenizer

_TOKENS, _TIMESTEPS = 64, 5
_NUMBERS = ("probabilities", "value", "log_prob")


def cases(model: Path, graph: Path) -> list[dict[str, Any]]:
    """The requests, one row each, and the answers."""
    loaded = load(model)
    if isinstance(loaded, LanguageModel):
        return [_inspected(loaded, load_tokenizer(graph))]
    if isinstance(loaded, ExampleModel):
        return _answered(loaded, Spec.read(graph))
    raise TypeError(f"InfraValidator: a model must be of a known task. Received: {type(loaded).__name__} in {model}.")


def _inspected(model: LanguageModel, tokenizer: Tokenizer) -> dict[str, Any]:
    """ln p of every token at every place of a text."""
    text = _text(tokenizer)
    tokens = np.asarray([tokenizer.end, *tokenizer.encode(text)], np.int32)[None]
    logits, _ = model(tokens, model.initial_states(1))
    log_probs = ops.convert_to_numpy(ops.log_softmax(logits, axis=-1))
    return {"signature": "inspect", "inputs": {"text": [text]}, "outputs": {"log_probs": log_probs.tolist()}}


def _answered(model: ExampleModel, spec: Spec) -> list[dict[str, Any]]:
    (source,) = model.input_names(list(spec.features))
    found = []
    for inputs, numbers in _rows(source, spec):
        answer = {
            name: ops.convert_to_numpy(value) for name, value in model.predict_batch({source: numbers}, {}).items()
        }
        outputs = {name: answer[name].tolist() for name in _NUMBERS if name in answer}
        if isinstance(model, GeneratingModel):
            outputs["text"] = [spec.tokenizers["target"].decode(answer["text"][0, : answer["lengths"][0]])]
        found.append({"signature": model.signature, "inputs": inputs, "outputs": outputs})
    return found


def _rows(source: str, spec: Spec) -> list[tuple[dict[str, Any], np.ndarray]]:
    """Requests, and the numbers that the model reads for them."""
    if source == "tokens":
        tokenizer = spec.tokenizers["tokens"]
        text = _text(tokenizer)
        texts = (text, text[: len(text) // 2] + "\U0010ffff")
        return [({"text": [each]}, np.asarray([tokenizer.encode(each)], np.int32)) for each in texts]
    if source == "label":
        names = spec.classes["label"]
        return [({"label": [names[i]]}, np.asarray([i], np.int32)) for i in {0, len(names) - 1}]
    info, random = spec.features[source], np.random.default_rng(0)
    shape = [1, *(_TIMESTEPS if size is None else size for size in info.shape or ())]
    numbers = random.normal(100, 50, shape) if np.dtype(info.dtype).kind in "iu" else random.normal(size=shape)
    array = numbers.astype(info.dtype)
    inputs: dict[str, Any] = {"array": array.tolist()}
    if info.is_ragged:
        inputs["lengths"] = [_TIMESTEPS]
    return [(inputs, array)]


def _text(tokenizer: Tokenizer) -> str:
    """Some of the tokens that are text, as text."""
    ids = [i for i in range(len(tokenizer.specials), len(tokenizer)) if tokenizer.tokens[i].isprintable()]
    return tokenizer.decode(np.random.default_rng(0).choice(ids, _TOKENS)) if ids else ""


if __name__ == "__main__":
    print(json.dumps(cases(Path(sys.argv[1]), Path(sys.argv[2]))))
