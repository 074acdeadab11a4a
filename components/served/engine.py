"""Writes many texts at once with one model: each step of the network serves all of them.

Texts come and go while others are being written. What a text says depends on nothing of its mates.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from components.served.language import Arrays, ServedLanguageModel
from components.served.pieces import Pieces
from components.served.request import TextRequest

# Rows of a call of `write`, each a shape to compile, and how many steps a call takes: the more rows, the longer a step,
# and a new text waits for the end of the call.
_STEPS = {1: 64, 4: 32, 16: 32, 64: 32}
CAPACITY = max(_STEPS)
# Long prompts are read apart, in pieces of these lengths; so many tokens of them between two calls of `write`.
_PIECES = (256, 64)
_READ_AT_ONCE = 1024


class Text:
    """A text that is being written.

    Attributes:
        request: What was asked for.
        prompt_tokens: Tokens of the prompt.
        tokens: How many were written, without `<end>`.
        log_prob: ln p of those, and of `<end>` if it came, at temperature 1.
        finished: Whether `<end>` came.
        repeated: Whether `repetition_stop` ended it.
        done: Whether nothing more comes.
        carry: What a later request can go on from, once it is done.
    """

    def __init__(self, request: TextRequest, model: ServedLanguageModel, carry: Arrays | None = None) -> None:
        self.request = request
        self.waiting = model.tokenizer.encode(request.prompt)
        self.prompt_tokens = len(self.waiting)
        self.tokens = 0
        self.log_prob = 0.0
        self.finished = self.repeated = self.done = False
        self.carry = _opened(model) if carry is None else carry
        self._pieces = Pieces(model.tokenizer, request.prompt)
        self._new: list[str] = []

    @property
    def data(self) -> bytes:
        """The prompt and all that was written, UTF-8 but for a character that was left in the middle."""
        return self.request.prompt.encode() + self._pieces.data

    def take(self) -> str:
        """What was written since the last call; the prompt is no part of it."""
        new, self._new = "".join(self._new), []
        return new

    def add(self, ids: np.ndarray, log_prob: float, finished: bool, repeated: bool) -> None:
        """Takes note of what was written."""
        self.tokens += len(ids)
        self.log_prob += log_prob
        self.finished |= finished
        self.repeated |= repeated
        self._new.append(self._pieces.add(ids.tolist()))

    def close(self) -> None:
        """Nothing more comes."""
        self.done = True
        self._new.append(self._pieces.add([], last=True))


def _opened(model: ServedLanguageModel) -> Arrays:
    """The carry at the beginning of a document: `<end>` on zero states."""
    return {
        **model.state,
        "token": np.asarray(model.tokenizer.end, np.int32),
        "position": np.asarray(0, np.int32),
    }


class Engine:
    """Writes texts, up to `CAPACITY` at once; others wait.

    Not for several threads: one adds texts and takes turns.

    Args:
        model: The model.
    """

    def __init__(self, model: ServedLanguageModel) -> None:
        self._model = model
        self._queue: deque[Text] = deque()
        self._texts: list[Text] = []  # text i is row i of the arrays
        self._carry = {name: np.stack([value] * CAPACITY) for name, value in _opened(model).items()}
        self._recent = np.full((CAPACITY, model.longest_period), -1, np.int32)
        self._repeats = np.zeros((CAPACITY, model.longest_period), np.int32)
        self._left, self._banned = np.zeros((2, CAPACITY), np.int32)
        controls = {"temperature": "float32", "top_k": "int32", "top_p": "float32", "seed": "int64"}
        self._controls = {
            name: np.ones(CAPACITY, dtype) for name, dtype in {**controls, "repetition_stop": "int32"}.items()
        }

    def warm_up(self) -> None:
        """Makes the first texts as fast as the others: compiles all shapes."""
        for rows in _STEPS:
            for _ in range(rows):
                self.add(TextRequest(max_length=1))
            while self.turn():
                pass
        for length in _PIECES:
            states = {name: state[None] for name, state in self._model.state.items()}
            self._model.read(token=[self._model.tokenizer.end], ids=np.zeros((1, length)), **states)

    @property
    def waiting(self) -> int:
        """Texts that have not begun."""
        return len(self._queue)

    @property
    def active(self) -> int:
        """Texts that are being written."""
        return len(self._texts)

    def add(self, request: TextRequest, carry: Arrays | None = None) -> Text:
        """Adds a text.

        Args:
            request: What to write.
            carry: Of an earlier text that this one goes on from; None begins a document.
        """
        text = Text(request, self._model, carry)
        self._queue.append(text)
        return text

    def cancel(self, text: Text) -> None:
        """Ends a text that nobody waits for any more."""
        if text in self._queue:
            self._queue.remove(text)
        elif text in self._texts:
            self._remove(self._texts.index(text))

    def turn(self) -> list[Text]:
        """Takes some steps of all texts.

        Returns:
            The texts that went on; of those, some are done. None: there is nothing to do.
        """
        while self._queue and len(self._texts) < CAPACITY:
            self._begin(self._queue.popleft())
        if not self._texts:
            return []
        self._read_long_prompts()
        self._write()
        texts = list(self._texts)
        for row in reversed(range(len(texts))):
            if not texts[row].waiting.size and self._left[row] == 0:
                if texts[row].finished:
                    texts[row].carry = _opened(self._model)
                else:
                    texts[row].carry = {name: values[row].copy() for name, values in self._carry.items()}
                texts[row].close()
                self._remove(row)
        return texts

    def _begin(self, text: Text) -> None:
        row = len(self._texts)
        self._texts.append(text)
        for name, value in text.carry.items():
            self._carry[name][row] = value
        for name, values in self._controls.items():
            values[row] = text.request[name]
        self._recent[row], self._repeats[row] = -1, 0
        self._left[row] = text.request.max_length
        self._banned[row] = text.request.min_length

    def _remove(self, row: int) -> None:
        """Frees a row: the last one takes its place."""
        last = len(self._texts) - 1
        self._texts[row] = self._texts[last]
        self._texts.pop()
        counts = (self._recent, self._repeats, self._left, self._banned)
        for values in (*self._carry.values(), *self._controls.values(), *counts):
            values[row] = values[last]
        self._left[last] = 0

    def _read_long_prompts(self) -> None:
        budget = _READ_AT_ONCE
        for row, text in enumerate(self._texts):
            while budget > 0 and text.waiting.size >= _PIECES[-1]:
                size = next(size for size in _PIECES if size <= text.waiting.size)
                now, text.waiting = np.split(text.waiting, [size])
                names = ["token", *self._model.state]
                outputs = self._model.read(ids=now[None], **{name: self._carry[name][row : row + 1] for name in names})
                for name in names:
                    self._carry[name][row] = outputs[name][0]
                self._carry["position"][row] += size
                budget -= size

    def _write(self) -> None:
        rows = len(self._texts)
        size = next(size for size in _STEPS if size >= rows)
        steps = _STEPS[size]
        given = np.zeros((size, steps), np.int32)
        given_count = np.zeros(size, np.int32)
        held = np.zeros(size, bool)
        for row, text in enumerate(self._texts):
            # What is long is read apart, when its turn comes.
            now = text.waiting[: steps if text.waiting.size < _PIECES[-1] else 0]
            given[row, : now.size], given_count[row] = now, now.size
            text.waiting = text.waiting[now.size :]
            held[row] = text.waiting.size > 0
        outputs = self._model.write(
            given=given,
            given_count=given_count,
            left=np.where(held, 0, self._left[:size]),
            banned=self._banned[:size],
            recent=self._recent[:size],
            repeats=self._repeats[:size],
            **{name: values[:size] for name, values in (self._carry | self._controls).items()},
        )
        for name, values in self._carry.items():
            values[:size] = outputs[name]
        for name, values in (("banned", self._banned), ("recent", self._recent), ("repeats", self._repeats)):
            values[:size] = outputs[name]
        self._left[:size] = np.where(held, self._left[:size], outputs["left"])
        for row, text in enumerate(self._texts):
            ids = outputs["tokens"][row, given_count[row] : given_count[row] + outputs["count"][row]]
            text.add(ids, *(outputs[name][row].item() for name in ("log_prob", "ended", "repeated")))
