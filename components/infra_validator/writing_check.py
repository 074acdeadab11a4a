"""Whether sample, inspect, read and write agree with the other signatures of a language model.

Imports TensorFlow and nothing of this project, as a server would.
"""

from typing import Any

import numpy as np
import tensorflow as tf

_LENGTH = 12  # tokens that are written
_SEED = 5
_TOLERANCE = 1e-4


def wrong_writing(signatures: Any, text: str, end: int) -> list[str]:
    """A sentence for each thing that does not fit together.

    Args:
        signatures: Of the SavedModel, all there.
        text: Of tokens that the model knows.
        end: Id of `<end>`.
    """
    ids = signatures["tokenize"](text=tf.constant([text]))["ids"].numpy()[0]
    return [
        *_wrong_samples(signatures, text),
        *_wrong_inspection(signatures, text, [*ids.tolist(), end]),
        *_wrong_pieces(signatures, text, ids, end),
    ]


def _wrong_samples(signatures: Any, text: str) -> list[str]:
    """Two samples of a prompt are what `generate` writes with the seed and with the next one."""
    sampled = _call(signatures["sample"], prompt=[text], **_controls(1.0), **_plain(), samples=[2])
    rows = _controls(1.0) | {"seed": np.asarray([_SEED, _SEED + 1], np.int64)}
    generated = _call(signatures["generate"], prompt=[text, text], **rows)
    if sampled["text"].tolist() == generated["text"].tolist():
        return []
    return [
        f"sample with samples=2 must equal generate with the seeds {_SEED} and {_SEED + 1}; for {text!r} they give "
        f"{sampled['text'].tolist()} and {generated['text'].tolist()}."
    ]


def _wrong_inspection(signatures: Any, text: str, following: list[int]) -> list[str]:
    """What it says of each token of a text, `<end>` behind it, sums to the score."""
    inspected = _call(signatures["inspect"], text=[text])
    places = np.arange(len(following))
    if inspected["log_probs"].shape[1] != len(following) or inspected["states"].shape[1] != len(following):
        found = inspected["log_probs"].shape[1], inspected["states"].shape[1]
        return [f"inspect must show {len(following)} places of {text!r}; its log_probs and states have {found}."]
    total = float(inspected["log_probs"][0, places, following].sum())
    scored = float(_call(signatures["score"], text=[text])["log_prob"][0])
    if _near(total, scored):
        return []
    return [f"inspect and score must agree; for {text!r} they give {total} and {scored} nats."]


def _wrong_pieces(signatures: Any, text: str, ids: np.ndarray, end: int) -> list[str]:
    """A prompt that is read in two pieces and continued greedily becomes what `generate` writes."""
    if not len(ids):  # no token of the vocabulary is text
        return []
    zero = dict(signatures["initial_state"](batch_size=tf.constant(1)))
    first = max(1, len(ids) // 2)
    carry = _call(signatures["read"], token=[end], ids=ids[None], count=[first], **zero)
    given = ids[first:]
    periods = signatures["write"].structured_input_signature[1]["recent"].shape[1]
    how = {name: value for name, value in _controls(0.0).items() if name != "max_length"}
    written = _call(
        signatures["write"],
        **carry,
        position=[first],
        left=[_LENGTH],
        banned=[0],
        recent=np.full([1, periods], -1),
        repeats=np.zeros([1, periods]),
        given=np.pad(given, [0, _LENGTH])[None],
        given_count=[len(given)],
        **how,
        repetition_stop=[0],
    )
    whole = _call(signatures["sample"], prompt=[text], **_controls(0.0), **_plain(), samples=[1])
    generated = _call(signatures["generate"], prompt=[text], **_controls(0.0))
    reasons = []
    found = [(float(out["log_prob"][0]), bool(out["finished"][0])) for out in (generated, whole)]
    ours = float(written["log_prob"][0]), bool(written["ended"][0])
    count, expected = int(written["count"][0]), int(whole["tokens"][0])
    if any(not _near(ours[0], nats) or ours[1] != finished for nats, finished in found) or count != expected:
        reasons.append(
            f"read and write must continue as generate and sample do, greedily; for {text!r} they write {count} tokens "
            f"of {ours[0]} nats, generate {found[0][0]} nats, sample {expected} tokens of {found[1][0]} nats."
        )
    # The tokens themselves: who reads them is where who wrote them is.
    tokens = written["tokens"][0, : len(given) + count].tolist() + [end] * ours[1]
    text_ids = [*ids[:first].tolist(), *tokens]
    again = _call(signatures["read"], token=[end], ids=[text_ids], count=[len(text_ids)], **zero)
    if any(not np.allclose(written[name], value, atol=_TOLERANCE) for name, value in again.items()):
        reasons.append(f"write must leave the states of a text that read leaves; behind {text!r} they differ.")
    return reasons


def _controls(temperature: float) -> dict[str, Any]:
    return {"max_length": [_LENGTH], "temperature": [temperature], "top_k": [0], "top_p": [1.0], "seed": [_SEED]}


def _plain() -> dict[str, Any]:
    return {"min_length": [0], "repetition_stop": [0]}


def _call(signature: Any, **inputs: Any) -> dict[str, np.ndarray]:
    specs = signature.structured_input_signature[1]
    given = {
        name: value if tf.is_tensor(value) else tf.constant(value, specs[name].dtype) for name, value in inputs.items()
    }
    return {name: value.numpy() for name, value in signature(**given).items()}


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= _TOLERANCE * max(1.0, abs(other))
