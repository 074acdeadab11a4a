"""Generates from and scores with a served model: what `sample` and `score` on the command line call."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.metrics.likelihood import metrics
from components.native_logs import import_quietly
from pipeline.errors import UsageError

# Streaming asks for this many tokens at a time, each time with the text so far as the prompt.
_STREAMED_AT_ONCE = 16
# Signature that a model is served by → its task, of those that are no language models.
TASKS = {
    "classify": "classification",
    "tag": "tagging",
    "translate": "seq2seq",
    "caption": "captioning",
    "predict": "regression_sequence",
}
_GOES_ON_FROM_TEXT = ("char", "word")


def version_folder(model: Path) -> Path:
    """The folder of a SavedModel: `model` itself, or its newest integer version.

    Raises:
        UsageError: There is no model.
    """
    if (model / "saved_model.pb").is_file():
        return model
    versions = [path for path in model.glob("*") if path.name.isdecimal() and (path / "saved_model.pb").is_file()]
    if not versions:
        raise UsageError(
            f"--model must be the folder of a served model, or of one of its versions. Received: {model}, which "
            f"{'holds no saved_model.pb' if model.is_dir() else 'is no folder'}. `run` prints where it pushes to."
        )
    return max(versions, key=lambda path: int(path.name))


def tokenizer_kind(model: Path) -> str:
    """What a served model's tokens are: char, byte, word or bpe."""
    settings = json.loads((version_folder(model) / "assets" / "tokenizer.json").read_text("utf-8"))
    return str(settings["kind"])


def load_signatures(model: Path) -> dict[str, Any]:
    """Loads a SavedModel and returns its signatures; they keep it alive."""
    folder = version_folder(model)
    # Imported here, after the check of the folder: TensorFlow takes seconds.
    tf = import_quietly("tensorflow")
    loaded = tf.saved_model.load(str(folder))
    return {name: _Bound(loaded, function) for name, function in loaded.signatures.items()}


class _Bound:
    """A signature and the model it belongs to, whose variables it refers to weakly."""

    def __init__(self, model: Any, function: Any) -> None:
        self._model = model
        self._function = function

    def __call__(self, **inputs: Any) -> Any:
        return self._function(**inputs)


def language_signature(model: Path, name: str) -> Any:
    """Loads a SavedModel and returns one of a language model's signatures.

    Raises:
        UsageError: There is no model, or it is one of another task.
    """
    signatures = load_signatures(model)
    if name in signatures:
        return signatures[name]
    own = next((signature for signature in TASKS if signature in signatures), None)
    what = "a model without one" if own is None else f"a model of the task {TASKS[own]}, whose signature is {own!r}"
    raise UsageError(
        f"--model must be the folder of a language model, with the signature {name!r}. Received: {model}, {what}. "
        "Load it with TensorFlow, or in a server, and call what it has."
    )


def sample(
    model: Path,
    prompt: str = "",
    length: int = 500,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    greedy: bool = False,
    seed: int | None = None,
    num: int = 1,
    stream: Callable[[str], None] | None = None,
) -> list[str]:
    """Generates texts from a served model.

    Args:
        model: Folder of the served model or of one of its versions.
        prompt: Start of the text.
        length: Tokens to generate at most.
        temperature, top_k, top_p: See `components.sampling.sample`.
        greedy: Take the most likely character at each step.
        seed: Seed of the first text, the next one has seed + 1; None draws one. Same seed, same text.
        num: How many texts.
        stream: Called with each new piece of the text, the prompt first; needs num=1. A model of bytes or byte pairs
            gives the whole text in one piece: what it wrote so far need not be what the text so far reads as.

    Returns:
        Each prompt with its continuation.

    Raises:
        UsageError: As `language_signature`.
    """
    signature = language_signature(model, "generate")
    seed = secrets.randbelow(2**31) if seed is None else seed

    def generate(prompts: list[str], max_length: int) -> tuple[list[str], list[bool]]:
        import tensorflow as tf

        outputs = signature(
            prompt=tf.constant(prompts),
            max_length=tf.constant([max_length]),
            temperature=tf.constant([0.0 if greedy else temperature]),
            top_k=tf.constant([top_k]),
            top_p=tf.constant([top_p]),
            seed=tf.constant([seed + i for i in range(num)], tf.int64),
        )
        # Tokens smaller than a character may end in the middle of one.
        texts = [text.decode("utf-8", "replace") for text in outputs["text"].numpy()]
        return texts, outputs["finished"].numpy().tolist()

    if stream is None:
        return generate([prompt] * num, length)[0]
    if tokenizer_kind(model) not in _GOES_ON_FROM_TEXT:
        (text,), _ = generate([prompt], length)
        stream(text)
        return [text]
    text, finished, left = prompt, False, length
    stream(prompt)
    while left > 0 and not finished:
        (longer,), (finished,) = generate([text], min(left, _STREAMED_AT_ONCE))
        stream(longer[len(text) :])
        text, left = longer, left - _STREAMED_AT_ONCE
    return [text]


def score(model: Path, text: str) -> dict[str, float | int]:
    """The likelihood of a text as one document: nats and perplexity per token, bits_per_char, tokens."""
    signature = language_signature(model, "score")
    import tensorflow as tf

    outputs = signature(text=tf.constant([text]))
    tokens = int(outputs["tokens"][0])
    nats = -float(outputs["log_prob"][0]) / tokens
    return metrics(nats, tokens, len(text) + 1)
