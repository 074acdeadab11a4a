"""Writes many texts at once with one model: each step of the network serves all of them.

Texts come and go while others are being written. What a text says depends on nothing of its mates.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from components.served.language import Arrays, ServedLanguageModel
from components.served.pieces import Pieces
from components.served.request import TextRequest

# Rows of a call of `write`, each a shape to compile, and how many steps a call takes at most: the more rows, the longer
# a step, and a new text waits for the end of the call.
_STEPS = {1: 64, 4: 32, 8: 32, 16: 32, 32: 32, 48: 32, 64: 32}
CAPACITY = max(_STEPS)
# What a call costs beside its steps, in steps.
_CALL = 3
# Long prompts are read apart, in pieces of these lengths, at most a quarter of one filled up; so many tokens of them
# between two calls of `write`.
_PIECES = (1024, 512, 256, 64)
_APART = 3 * _PIECES[-1] // 4
_READ_AT_ONCE = 1024
# Steps that a call goes on at most once such a prompt is read: whoever waits has waited long.
_SOON = 8


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
        self._pieces = Pieces(model.tokenizer, request.prompt or _last_token(model, self.carry))
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
        if not self.done:
            self.done = True
            self._new.append(self._pieces.add([], last=True))


def _opened(model: ServedLanguageModel) -> Arrays:
    """The carry at the beginning of a document: `<end>` on zero states."""
    return {
        **model.state,
        "token": np.asarray(model.tokenizer.end, np.int32),
        "position": np.asarray(0, np.int32),
    }


def _last_token(model: ServedLanguageModel, carry: Arrays) -> str:
    """The text that a carry goes on from, as far as it decides what is between it and the next token."""
    token = int(carry["token"])
    return "" if token == model.tokenizer.end else model.tokenizer.decode([token])


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
        # Zero in a row without a text: greedy, which asks for no sorting of the vocabulary.
        self._controls = {
            name: np.zeros(CAPACITY, dtype) for name, dtype in {**controls, "repetition_stop": "int32"}.items()
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
            self._model.read(token=[self._model.tokenizer.end], ids=np.zeros((1, length)), count=[length], **states)

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
        text.close()

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
        self._controls["temperature"][last] = 0.0

    def _read_long_prompts(self) -> None:
        budget = _READ_AT_ONCE
        # The shortest first: one text that is very long does not keep the others waiting.
        for row, text in sorted(enumerate(self._texts), key=lambda numbered: numbered[1].waiting.size):
            while budget > 0 and text.waiting.size >= _APART:
                size = next(size for size in _PIECES if 3 * size <= 4 * text.waiting.size)
                now, text.waiting = np.split(text.waiting, [size])
                ids = np.pad(now, [0, size - now.size])[None]
                carry = {name: self._carry[name][row : row + 1] for name in ("token", *self._model.state)}
                for name, values in self._model.read(ids=ids, count=[now.size], **carry).items():
                    self._carry[name][row] = values[0]
                self._carry["position"][row] += now.size
                budget -= size

    def _write(self) -> None:
        rows = len(self._texts)
        size = next(size for size in _STEPS if size >= rows)
        steps = _STEPS[size]
        # What is long is read apart, when its turn comes.
        waiting = np.array([text.waiting.size for text in self._texts], np.int32)
        apart = waiting >= _APART
        end = _best_length(np.where(apart, 0, waiting + self._left[:rows]), steps)
        long = np.array([not text.tokens and text.prompt_tokens >= _APART for text in self._texts]) & ~apart
        end = min([end, *(waiting[long] + _SOON).tolist()])
        given = np.zeros((size, steps), np.int32)
        given_count = np.zeros(size, np.int32)
        given_count[:rows] = np.where(apart, 0, np.minimum(waiting, end))
        for row, text in enumerate(self._texts):
            count = given_count[row]
            given[row, :count] = text.waiting[:count]
            text.waiting = text.waiting[count:]
        left = np.minimum(self._left[:size], end - given_count)
        left[:rows][given_count[:rows] < waiting] = 0  # its prompt goes on
        outputs = self._model.write(
            given=given,
            given_count=given_count,
            left=left,
            banned=self._banned[:size],
            recent=self._recent[:size],
            repeats=self._repeats[:size],
            **{name: values[:size] for name, values in (self._carry | self._controls).items()},
        )
        for name, values in self._carry.items():
            values[:size] = outputs[name]
        for name, values in (("banned", self._banned), ("recent", self._recent), ("repeats", self._repeats)):
            values[:size] = outputs[name]
        self._left[:size] -= outputs["count"]
        self._left[:size][outputs["ended"] | outputs["repeated"]] = 0
        for row, text in enumerate(self._texts):
            ids = outputs["tokens"][row, given_count[row] : given_count[row] + outputs["count"][row]]
            text.add(ids, *(outputs[name][row].item() for name in ("log_prob", "ended", "repeated")))


def _best_length(remaining: np.ndarray, most: int) -> int:
    """The number of steps for which a call writes most tokens a time: a row that is done early idles until its end.

    Args:
        remaining: Steps that each row has still to take, int32 [rows].
        most: Steps that a call may take.
    """
    steps = np.arange(1, most + 1)
    taken = np.minimum(remaining[:, None], steps).sum(axis=0)  # by all rows
    return int(steps[np.argmax(taken / (steps + _CALL))])
