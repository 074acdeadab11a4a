"""Texts that a model writes while it is trained, and when it is evaluated."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from keras import ops

from components.sampling import random_uniform, sample
from components.tasks.language_model import LanguageModel
from components.trainer.backend import compile_inference
from components.transform.tokenizers import Tokenizer

_LENGTH = 300


class Sampler(Protocol):
    """Writes a text of at most 300 tokens: the same one for the same arguments."""

    def __call__(self, seed: int, temperature: float = 0.8) -> str: ...


def sampler(model: LanguageModel, tokenizer: Tokenizer) -> Sampler:
    """Returns what writes texts, which start at `<end>` on a zero state and stop at `<end>`."""
    banned = np.zeros(len(tokenizer), np.float32)
    banned[tokenizer.unsampled] = -np.inf

    def predict(token: Any, reset: Any, states: Any, key: Any, position: Any, temperature: Any) -> Any:
        logits, states = model(token[:, None], states, reset=reset[:, None])
        uniform = random_uniform(ops.zeros_like(key), key, position)
        return sample(
            logits[:, 0] + banned, uniform, temperature, ops.zeros_like(token), ops.ones_like(uniform)
        ), states

    compiled = compile_inference(model, predict)

    def write(seed: int, temperature: float = 0.8) -> str:
        token, states = np.asarray([tokenizer.end], np.int32), model.initial_states(1)
        ids: list[int] = []
        while len(ids) < _LENGTH:
            key, position = np.asarray([seed], np.uint32), np.asarray([len(ids)], np.uint32)
            heat = np.asarray([temperature], np.float32)
            token, states = compiled(token, token == tokenizer.end, states, key, position, heat)
            token = ops.convert_to_numpy(token)
            if token[0] == tokenizer.end:
                break
            ids.append(int(token[0]))
        return tokenizer.decode(ids)

    return write
