"""Uses a SavedModel as a client would.

Imports TensorFlow and nothing of the project that made it, as a server would.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from components.infra_validator.example_check import OF_EXAMPLES, wrong_answers
from components.infra_validator.resources import answered, latency_ms, memory_mb, strangers, wrong_beside
from components.infra_validator.writing_check import wrong_writing

_CONTROLS = {"max_length": "int32", "temperature": "float32", "top_k": "int32", "top_p": "float32", "seed": "int64"}
_TEXT = {"text": "string", "log_prob": "float32", "finished": "bool"}
_GENERATE = ({"prompt": "string", **_CONTROLS}, _TEXT)
_INTS = ("token", "position", "left", "banned", "recent", "repeats")
_CARRY = {"state_0": "float32", **dict.fromkeys(_INTS, "int32")}
_HOW = {name: dtype for name, dtype in _CONTROLS.items() if name != "max_length"}
# Name → inputs and outputs.
SIGNATURES = {
    "serving_default": _GENERATE,
    "generate": _GENERATE,
    "initial_state": ({"batch_size": "int32"}, {"state_0": "float32"}),
    "step": ({"token": "string", "state_0": "float32"}, {"log_probs": "float32", "state_0": "float32"}),
    "score": ({"text": "string"}, {"log_prob": "float32", "tokens": "int32"}),
    "tokenize": ({"text": "string"}, {"tokens": "string", "ids": "int32", "lengths": "int32"}),
    "inspect": ({"text": "string"}, {"log_probs": "float32", "states": "float32", "lengths": "int32"}),
    "sample": (
        {**_GENERATE[0], **dict.fromkeys(("min_length", "repetition_stop", "samples"), "int32")},
        {**_TEXT, "repeated": "bool", "tokens": "int32"},
    ),
    "read": (
        {**dict.fromkeys(("token", "ids", "count"), "int32"), "state_0": "float32"},
        {"token": "int32", "state_0": "float32"},
    ),
    "write": (
        {**_CARRY, **_HOW, **dict.fromkeys(("repetition_stop", "given", "given_count"), "int32")},
        {**_CARRY, "tokens": "int32", "count": "int32", "log_prob": "float32", "ended": "bool", "repeated": "bool"},
    ),
}
SAMPLE_LENGTH = 500
TIMED_LENGTH = 100  # tokens of the request that latency is measured of


def check(folder: Path, reference: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Finds out what is wrong with a SavedModel.

    Args:
        folder: The SavedModel.
        reference: What the Keras model answers, see `components.infra_validator.reference`.

    Returns:
        `reasons`, a sentence for each thing; `sample`, a text it generated; `cases`, requests of a few rows with their
        answers, for servers; `latency_ms` and `memory_mb`.
    """
    found = _check(folder, reference)
    imported = strangers()
    if imported:
        found["reasons"].append(f"TensorFlow must be enough to use the model; it took {', '.join(imported[:5])}, too.")
    return {"cases": [], "latency_ms": None, **found, "memory_mb": memory_mb()}


def _check(folder: Path, reference: Sequence[dict[str, Any]]) -> dict[str, Any]:
    loaded = tf.saved_model.load(str(folder))
    task = next((name for name in OF_EXAMPLES if name in loaded.signatures), None)
    if task is not None:
        reasons, answers = wrong_answers(loaded.signatures, task, known_classes(folder))
        reasons += [] if reasons else wrong_beside(loaded.signatures, reference)
        cases = [] if reasons else [answered(loaded.signatures, task, case["inputs"]) for case in reference]
        return {"reasons": reasons, "sample": answers, **_timed(loaded.signatures, cases)}
    if "generate" in loaded.signatures:
        reasons = wrong_signatures(loaded.signatures)
    else:
        known, has = ", ".join(("generate", *OF_EXAMPLES)), ", ".join(loaded.signatures) or "none"
        reasons = [f"The model must have the signature of a task: {known}. Its signatures: {has}."]
    if reasons:
        return {"reasons": reasons, "sample": ""}
    sample = generate(loaded.signatures["generate"], [""], SAMPLE_LENGTH)
    text, end = known_text(folder), end_id(folder)
    reasons = wrong_results(loaded.signatures, text, end) + wrong_writing(loaded.signatures, text, end)
    reasons += wrong_beside(loaded.signatures, reference)
    request = {"prompt": [text], "max_length": [TIMED_LENGTH], "temperature": [0.8], "top_k": [0], "top_p": [1.0]}
    cases = [
        answered(loaded.signatures, "generate", {**request, "seed": [1]}),
        answered(loaded.signatures, "score", {"text": [text]}),
    ]
    return {
        "reasons": reasons,
        "sample": sample["text"][0].decode("utf-8", "replace"),
        **_timed(loaded.signatures, cases),
    }


def _timed(signatures: Any, cases: list[dict[str, Any]]) -> dict[str, Any]:
    """The cases, and how long the first one takes."""
    if not cases:
        return {}
    first = cases[0]
    return {"cases": cases, "latency_ms": latency_ms(signatures[first["signature"]], first["inputs"])}


def known_text(folder: Path) -> str:
    """A short text of tokens in the vocabulary, from the assets."""
    symbols = [bytes.fromhex(symbol) for _, symbol, _ in _rows(folder) if symbol]
    readable = [symbol.decode("utf-8") for symbol in symbols if _is_text(symbol)]
    kind = json.loads((folder / "assets" / "tokenizer.json").read_text("utf-8"))["kind"]
    return (" " if kind == "word" else "").join(readable[-8:])


def known_classes(folder: Path) -> list[str]:
    """Names of the classes that a model reads, from the assets; none where it reads something else."""
    file = folder / "assets" / "label.txt"
    return file.read_bytes().decode("utf-8").split("\n")[:-1] if file.exists() else []


def end_id(folder: Path) -> int:
    """Id of `<end>`, from the assets."""
    return next(int(token) for token, symbol, name in _rows(folder) if not symbol and name == "<end>")


def _rows(folder: Path) -> list[list[str]]:
    return [line.split("\t") for line in (folder / "assets" / "vocabulary.tsv").read_text("utf-8").split("\n")[:-1]]


def _is_text(symbol: bytes) -> bool:
    try:
        symbol.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


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


def wrong_results(signatures: Any, text: str, end: int) -> list[str]:
    """A sentence for each thing the signatures compute that does not fit together."""
    reasons = []
    scored = signatures["score"](text=tf.constant([text]))
    tokenized = signatures["tokenize"](text=tf.constant([text]))
    tokens, ids = tokenized["tokens"][0].numpy().tolist(), tokenized["ids"][0].numpy().tolist()
    stepped = score_by_steps(signatures, [b"<end>", *tokens], [*ids, end])
    total = float(scored["log_prob"][0])
    if not np.isfinite(total):
        reasons.append(f"score must be finite; it is {total} for {text!r}.")
    elif abs(total - stepped) > 1e-4 * max(1.0, abs(total)):
        reasons.append(f"step and score must agree; for {text!r} they give {stepped} and {total} nats.")
    if int(scored["tokens"][0]) != len(ids) + 1:
        reasons.append(f"score must count {len(ids) + 1} tokens for {text!r}; it counts {int(scored['tokens'][0])}.")

    prompts = ["", text, "\U0010ffff"]
    once, again = (generate(signatures["generate"], prompts, 20) for _ in range(2))
    if list(once["text"]) != list(again["text"]):
        reasons.append("generate must give the same text for the same seed; two calls differ.")
    if not np.isfinite(once["log_prob"]).all():
        reasons.append(f"generate's log_prob must be finite; it is {once['log_prob'].tolist()}.")
    for prompt, generated in zip(prompts, once["text"], strict=True):
        if not generated.startswith(prompt.encode()):
            reasons.append(f"generate must return the prompt and its continuation; {prompt!r} gave {generated!r}.")
    return reasons


def score_by_steps(signatures: Any, tokens: list[bytes], following: list[int]) -> float:
    """ln p of a document, read a token at a time through `step`."""
    states = dict(signatures["initial_state"](batch_size=tf.constant(1)))
    total = 0.0
    for token, target in zip(tokens, following, strict=True):
        outputs = dict(signatures["step"](token=tf.constant([token]), **states))
        total += float(outputs.pop("log_probs")[0, target])
        states = outputs
    return total
