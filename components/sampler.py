"""Writes texts with a served model: what `sample` on the command line calls."""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from components.served.engine import CAPACITY, Engine
from components.served.language import ServedLanguageModel
from components.served.request import TextRequest

# Compiling takes about a second, and saves some tenths of a millisecond a step.
_STEPS_WORTH_COMPILING = 5_000


@dataclasses.dataclass(frozen=True)
class Sample:
    """A text that was written.

    Attributes:
        prompt: What it begins with.
        continuation: What was written.
        seed: Same seed, same text.
        tokens: Of the continuation, without `<end>`.
        log_prob: ln p of those, and of `<end>` if it came, at temperature 1.
        finished: Whether `<end>` came.
        repeated: Whether it ended because it goes round in a circle.
    """

    prompt: str
    continuation: str
    seed: int
    tokens: int
    log_prob: float
    finished: bool
    repeated: bool

    @property
    def text(self) -> str:
        """Prompt and continuation."""
        return self.prompt + self.continuation


@dataclasses.dataclass(frozen=True)
class Samples:
    """What `sample` wrote, and how long it took, once the model was loaded."""

    samples: list[Sample]
    seconds: float

    @property
    def characters_per_second(self) -> float:
        """Written characters of all texts together."""
        return sum(len(sample.continuation) for sample in self.samples) / self.seconds


def sample(
    model: Path,
    prompt: str = "",
    length: int = 500,
    min_length: int = 0,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    greedy: bool = False,
    repetition_stop: int = 0,
    seed: int | None = None,
    num: int = 1,
    stream: Callable[[int, str], None] | None = None,
) -> Samples:
    """Generates texts from a served model, all at once.

    Args:
        model: Folder of the served model or of one of its versions.
        prompt: Start of the text.
        length: Tokens to generate at most.
        min_length: Tokens to generate before the text may end.
        temperature, top_k, top_p: See `components.sampling.sample`.
        greedy: Take the most likely character at each step.
        repetition_stop: Ends a text that goes round in a circle for so many tokens; 0: never.
        seed: Seed of the first text, the next one has seed + 1; None draws one. Same seed, same text.
        num: How many texts.
        stream: Called with the number of a text, 0 and up, and each new piece of it, the prompt first; one text after
            the other, whichever is written first.

    Raises:
        UsageError: As `language_signatures`.
    """
    seed = secrets.randbelow(2**31) if seed is None else seed
    steps = length * -(-num // CAPACITY)
    engine = Engine(ServedLanguageModel(model, compiled=steps >= _STEPS_WORTH_COMPILING))
    started = time.perf_counter()
    request = TextRequest(
        prompt, length, min_length, 0.0 if greedy else temperature, top_k, top_p, repetition_stop=repetition_stop
    )
    texts = [engine.add(dataclasses.replace(request, seed=seed + i)) for i in range(num)]
    written = [""] * num
    show = _InOrder(stream or (lambda number, piece: None), prompt)
    going_on = True
    while going_on:
        show(written, [text.done for text in texts])
        going_on = bool(engine.turn())
        for i, text in enumerate(texts):
            written[i] += text.take()
    seconds = time.perf_counter() - started
    return Samples(
        [
            Sample(prompt, new, text.request.seed, text.tokens, text.log_prob, text.finished, text.repeated)
            for text, new in zip(texts, written, strict=True)
        ],
        seconds,
    )


class _InOrder:
    """Hands on texts that grow side by side as if they were written one after the other."""

    def __init__(self, stream: Callable[[int, str], None], prompt: str) -> None:
        self._stream = stream
        self._prompt = prompt
        self._number = 0  # texts before it were handed on whole
        self._characters = -1  # of its continuation that were handed on; -1: not even the prompt

    def __call__(self, written: list[str], done: list[bool]) -> None:
        while self._number < len(written):
            if self._characters < 0:
                self._stream(self._number, self._prompt)
                self._characters = 0
            new = written[self._number][self._characters :]
            if new:
                self._stream(self._number, new)
            self._characters += len(new)
            if not done[self._number]:
                return
            self._number, self._characters = self._number + 1, -1
