"""Generates from and scores with a served model: what `sample` and `score` on the command line call."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.metrics.likelihood import metrics
from components.served.engine import CAPACITY, Engine
from components.served.folder import language_signatures
from components.served.language import ServedLanguageModel
from components.served.request import TextRequest

# Compiling takes about a second, and saves some tenths of a millisecond a step.
_STEPS_WORTH_COMPILING = 5_000


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
        stream: Called with each new piece of the text, the prompt first; needs num=1.

    Returns:
        Each prompt with its continuation.

    Raises:
        UsageError: As `language_signatures`.
    """
    seed = secrets.randbelow(2**31) if seed is None else seed
    steps = length * -(-num // CAPACITY)
    engine = Engine(ServedLanguageModel(model, compiled=steps >= _STEPS_WORTH_COMPILING))
    controls: dict[str, Any] = {"temperature": 0.0 if greedy else temperature, "top_k": top_k, "top_p": top_p}
    texts = [engine.add(TextRequest(prompt, length, seed=seed + i, **controls)) for i in range(num)]
    if stream is not None:
        stream(prompt)
    written = [prompt] * num
    while engine.turn():
        for i, text in enumerate(texts):
            new = text.take()
            written[i] += new
            if stream is not None and new:
                stream(new)
    return written


def score(model: Path, text: str) -> dict[str, float | int]:
    """The likelihood of a text as one document: nats and perplexity per token, bits_per_char, tokens."""
    signature = language_signatures(model, "score")["score"]
    import tensorflow as tf

    outputs = signature(text=tf.constant([text]))
    tokens = int(outputs["tokens"][0])
    nats = -float(outputs["log_prob"][0]) / tokens
    return metrics(nats, tokens, len(text) + 1)
