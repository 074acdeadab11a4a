"""Uses a SavedModel as a client would: `python -m components.infra_validator.check FOLDER` prints its findings as JSON.

Imports TensorFlow and nothing of this project, as a server would.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

_CONTROLS = {"max_length": "int32", "temperature": "float32", "top_k": "int32", "top_p": "float32", "seed": "int64"}
_GENERATE = ({"prompt": "string", **_CONTROLS}, {"text": "string", "log_prob": "float32", "finished": "bool"})
# Name → inputs and outputs.
SIGNATURES = {
    "serving_default": _GENERATE,
    "generate": _GENERATE,
    "initial_state": ({"batch_size": "int32"}, {"state_0": "float32"}),
    "step": ({"token": "string", "state_0": "float32"}, {"log_probs": "float32", "state_0": "float32"}),
    "score": ({"text": "string"}, {"log_prob": "float32", "tokens": "int32"}),
}
SAMPLE_LENGTH = 500


def check(folder: Path) -> dict[str, Any]:
    """Returns what is wrong with a SavedModel, sentence by sentence, and a text it generated."""
    loaded = tf.saved_model.load(str(folder))
    reasons = wrong_signatures(loaded.signatures)
    if reasons:
        return {"reasons": reasons, "sample": ""}
    sample = generate(loaded.signatures["generate"], [""], SAMPLE_LENGTH)
    return {
        "reasons": wrong_results(loaded.signatures, token_ids(folder)),
        "sample": sample["text"][0].decode("utf-8"),
    }


def token_ids(folder: Path) -> dict[str, int]:
    """Token → id, from the vocabulary asset."""
    rows = [line.split("\t") for line in (folder / "assets" / "vocabulary.tsv").read_text("utf-8").splitlines()]
    return {name if int(code) < 0 else chr(int(code)): int(token) for token, code, name in rows}


def wrong_signatures(signatures: Any) -> list[str]:
    """A sentence for each input or output that is missing or of another type."""
    reasons = []
    for name, (inputs, outputs) in SIGNATURES.items():
        if name not in signatures:
            reasons.append(f"Signature {name!r} is missing.")
            continue
        given = {
            "input": (inputs, signatures[name].structured_input_signature[1]),
            "output": (outputs, signatures[name].structured_outputs),
        }
        for kind, (wanted, specs) in given.items():
            for key, dtype in wanted.items():
                found = specs[key].dtype.name if key in specs else "missing"
                if found != dtype:
                    reasons.append(f"Signature {name!r}: {kind} {key!r} must be {dtype}; it is {found}.")
    return reasons


def generate(signature: Any, prompts: list[str], length: int, temperature: float = 0.8) -> dict[str, np.ndarray]:
    """Calls `generate` with a seed for each row."""
    outputs = signature(
        prompt=tf.constant(prompts),
        max_length=tf.constant([length]),
        temperature=tf.constant([temperature]),
        top_k=tf.constant([0]),
        top_p=tf.constant([1.0]),
        seed=tf.range(len(prompts), dtype=tf.int64),
    )
    return {name: value.numpy() for name, value in outputs.items()}


def wrong_results(signatures: Any, ids: dict[str, int]) -> list[str]:
    """A sentence for each thing the signatures compute that does not fit together."""
    text = "".join(token for token in ids if len(token) == 1)[-8:]
    reasons = []
    scored = signatures["score"](text=tf.constant([text]))
    stepped = score_by_steps(signatures, ids, text)
    total = float(scored["log_prob"][0])
    if not np.isfinite(total):
        reasons.append(f"score must be finite; it is {total} for {text!r}.")
    elif abs(total - stepped) > 1e-4 * max(1.0, abs(total)):
        reasons.append(f"step and score must agree; for {text!r} they give {stepped} and {total} nats.")
    if int(scored["tokens"][0]) != len(text) + 1:
        reasons.append(f"score must count {len(text) + 1} tokens for {text!r}; it counts {int(scored['tokens'][0])}.")

    prompts = ["", text, "\U0010ffff"]
    once, again = (generate(signatures["generate"], prompts, 20) for _ in range(2))
    if list(once["text"]) != list(again["text"]):
        reasons.append("generate must give the same text for the same seed; two calls differ.")
    if not np.isfinite(once["log_prob"]).all():
        reasons.append(f"generate's log_prob must be finite; it is {once['log_prob'].tolist()}.")
    for prompt, generated in zip(prompts, once["text"], strict=True):
        if not generated.decode("utf-8").startswith(prompt):
            reasons.append(f"generate must return the prompt and its continuation; {prompt!r} gave {generated!r}.")
    return reasons


def score_by_steps(signatures: Any, ids: dict[str, int], text: str) -> float:
    """ln p of a document, read a character at a time through `step`."""
    states = dict(signatures["initial_state"](batch_size=tf.constant(1)))
    total = 0.0
    for token, following in zip(["<end>", *text], [*text, "<end>"], strict=True):
        outputs = dict(signatures["step"](token=tf.constant([token]), **states))
        total += float(outputs.pop("log_probs")[0, ids[following]])
        states = outputs
    return total


if __name__ == "__main__":
    print(json.dumps(check(Path(sys.argv[1]))))
