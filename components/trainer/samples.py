"""Texts that a model writes while it is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from components.sampling import random_uniform, sample
from components.tasks.language_model import LanguageModel
from components.trainer.backend import compile_inference
from components.transform.tokenizers import Tokenizer

_LENGTH = 300
_TEMPERATURE = 0.8


def sampler(model: LanguageModel, tokenizer: Tokenizer) -> Callable[[int], str]:
    """Returns a function seed → text, which starts at `<end>` on a zero state and stops at `<end>`."""
    banned = np.zeros(len(tokenizer), np.float32)
    banned[tokenizer.unsampled] = -np.inf

    def predict(token: Any, reset: Any, states: Any, key: Any, position: Any) -> Any:
        logits, states = model(token[:, None], states, reset=reset[:, None])
        uniform = random_uniform(ops.zeros_like(key), key, position)
        one = ops.ones_like(uniform)
        return sample(logits[:, 0] + banned, uniform, _TEMPERATURE * one, ops.zeros_like(token), one), states

    compiled = compile_inference(model, predict)

    def write(seed: int) -> str:
        token, states = np.asarray([tokenizer.end], np.int32), model.initial_states(1)
        ids: list[int] = []
        while len(ids) < _LENGTH:
            key, position = np.asarray([seed], np.uint32), np.asarray([len(ids)], np.uint32)
            token, states = compiled(token, token == tokenizer.end, states, key, position)
            token = ops.convert_to_numpy(token)
            if token[0] == tokenizer.end:
                break
            ids.append(int(token[0]))
        return tokenizer.decode(ids)

    return write
