"""What a served model must answer: the network in float64, token by token."""

import numpy as np

from components.sampling import random_uniform, sample
from tests.components.exporter.exported import UNITS
from tests.testing import forward, to_numpy


def log_softmax(logits):
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def read(model, ids):
    """Logits after `ids`, which start with `<end>`, from a zero state, in float64."""
    logits, states = forward(model.model.get_weights(), np.asarray(ids)[None], [np.zeros((1, UNITS))] * 2)
    return logits[0], states


def ids_log_prob(model, prompt, continuation, finished):
    """ln p of the continuation (its ids), and of the `<end>` after it if finished, given the prompt."""
    end, prompt_ids = model.tokenizer.end, model.tokenizer.encode(prompt)
    ids = [end, *prompt_ids, *continuation, *[end] * finished]
    if len(ids) == 1:
        return 0.0
    logits, _ = read(model, ids[:-1])
    log_p = log_softmax(logits)[np.arange(len(ids) - 1), ids[1:]]
    return float(log_p[len(prompt_ids) :].sum())


def repeats_itself(written, count):
    """Whether the last `count` tokens each equal the one p places before, for one p up to 32."""
    return any(
        len(written) >= count + p and all(written[-i] == written[-i - p] for i in range(1, count + 1))
        for p in range(1, 33)
    )


def generated_ids(model, prompt, max_length, temperature, top_k, top_p, seed, min_length=0, repetition_stop=0):
    """The generated ids, one by one: the network in float64, and one uniform number for each place in the text."""
    vocabulary = model.tokenizer
    ids = [vocabulary.end, *vocabulary.encode(prompt).tolist()]
    logits, states = read(model, ids)
    logits, written = logits[-1], []
    for _ in range(max_length):
        row = logits.copy()
        row[vocabulary.unsampled] = -np.inf
        if len(written) < min_length:
            row[vocabulary.end] = -np.inf
        key = [np.asarray([seed >> shift & 0xFFFFFFFF], np.uint32) for shift in (32, 0)]
        uniform = random_uniform(*key, np.asarray([len(ids) - 1], np.uint32))
        controls = (np.asarray([temperature], "float32"), np.asarray([top_k], "int32"), np.asarray([top_p], "float32"))
        token = int(to_numpy(sample(row[None].astype("float32"), uniform, *controls))[0])
        if token == vocabulary.end:
            return written, True
        ids.append(token)
        written.append(token)
        if repetition_stop and repeats_itself(written, repetition_stop):
            return written, False
        out, states = forward(model.model.get_weights(), np.asarray([[token]]), states)
        logits = out[0, 0]
    return written, False
