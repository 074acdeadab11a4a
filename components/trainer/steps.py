"""The steps of an epoch: which tokens each update reads, and where its states come from."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from components.transform.examples import ExampleBatch, Examples
from components.transform.reader import LaneReader, Span, Window
from pipeline.trainer_config import LengthWarmupConfig


class Step(NamedTuple):
    """What one update reads.

    Attributes:
        window: [batch, timesteps]; of examples, an `ExampleInputs`.
        fresh: The rows do not continue those of the step before: states start at zero.
    """

    window: Any
    fresh: bool


class Steps(Protocol):
    """A source of steps: the same ones, in the same order, however often it is asked.

    Attributes:
        batch_size: Rows of every step.
        context: Positions at the beginning of each window that are read and propagated through, and not learnt from:
            k2 - k1. The states to carry are those after the other positions.
        timesteps: Of the longest window, k2.
        whole_epoch: Steps of an epoch in which no update is shortened.
    """

    batch_size: int
    context: int
    timesteps: int
    whole_epoch: int

    def count(self, epoch: int) -> int:
        """Steps of an epoch, 1 … ."""

    def total(self, epochs: int) -> int:
        """Steps of the first epochs together."""

    def read(self, epoch: int, first: int = 0) -> Iterator[Step]:
        """Yields the steps of an epoch from the index `first` on."""


class LaneSteps:
    """Truncated back-propagation through time over lanes: k1 timesteps an update, each propagated back up to k2.

    Update n learns from the predictions n·k1 … n·k1 + k1 - 1 of every lane, each of which counts once. It runs the
    network from the state at n·k1 + k1 - k2 on, with the weights of now, so that its gradient is the exact one of these
    losses as a function of the weights, given that state. Before a lane's beginning there is nothing to read.

    Args:
        reader: Lanes of the train split.
        update_interval: k1; default: the window's length.
        truncation_length: k2 >= k1; default: k1.
        warmup: Shorter updates at the beginning of the training; k2 must then be k1.

    Source: Williams and Peng (1990), BPTT(h; h'); Sutskever (2013), Training Recurrent Neural Networks, section 2.8.
    """

    def __init__(
        self,
        reader: LaneReader,
        update_interval: int | None = None,
        truncation_length: int | None = None,
        warmup: LengthWarmupConfig | None = None,
    ) -> None:
        self.batch_size = reader.batch_size
        self._reader = reader
        self._interval = update_interval or reader.layout.window_length
        self.context = (truncation_length or self._interval) - self._interval
        self.timesteps = self._interval + self.context
        self._stages: list[tuple[int, int]] = [] if warmup is None else _stages(warmup, self._interval)
        self.whole_epoch = sum(-(-length // self._interval) for length in reader.group_lengths)
        self._totals = [0]  # steps before each epoch, as long as updates are shorter

    def count(self, epoch: int) -> int:
        return self.total(epoch) - self.total(epoch - 1)

    def total(self, epochs: int) -> int:
        while len(self._totals) <= epochs:
            last = self._totals[-1]
            if self._length(last) == self._interval:
                return last + (epochs - len(self._totals) + 1) * self.whole_epoch
            self._totals.append(last + sum(1 for _ in self._spans(last)))
        return self._totals[epochs]

    def read(self, epoch: int, first: int = 0) -> Iterator[Step]:
        spans, again = itertools.tee(itertools.islice(self._spans(self.total(epoch - 1)), first, None))
        for window, span in zip(self._reader.spans(spans), again, strict=True):
            yield Step(window, fresh=span.start + self.context == 0)

    def _spans(self, step: int) -> Iterator[Span]:
        for group, length in enumerate(self._reader.group_lengths):
            position = 0
            while position < length:
                interval = self._length(step)
                yield Span(group, position - self.context, position + interval, self.context)
                position += interval
                step += 1

    def _length(self, step: int) -> int:
        return next((length for length, stop in self._stages if step < stop), self._interval)


def _stages(warmup: LengthWarmupConfig, whole: int) -> list[tuple[int, int]]:
    """(length, step at which it ends) of each stage before the whole length."""
    lengths = []
    length = warmup.length
    while length < whole:
        lengths.append(length)
        length *= 2
    return [(length, warmup.steps * (stage + 1) // len(lengths)) for stage, length in enumerate(lengths)]


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of an epoch's order; that of one epoch and of the next have nothing in common."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


class BatchSteps(ABC):
    """Full back-propagation through time: batches of examples of about one length, each read from zero states.

    Args:
        examples: Of the train split.
        features: Those that are read.
        batch_size: Examples of a step; rows of weight 0 fill up the last batch of a length.
        seed: Decides the order, another one each epoch.
        timesteps: Of the longest example.
    """

    context = 0

    def __init__(self, examples: Examples, features: Sequence[str], batch_size: int, seed: int, timesteps: int) -> None:
        self.batch_size, self.timesteps = batch_size, timesteps
        self._examples, self._features, self._seed = examples, features, seed
        self.whole_epoch = examples.batch_count(batch_size, features=features)

    def count(self, epoch: int) -> int:
        return self.whole_epoch

    def total(self, epochs: int) -> int:
        return epochs * self.whole_epoch

    def read(self, epoch: int, first: int = 0) -> Iterator[Step]:
        order = epoch_seed(self._seed, epoch)
        for batch in self._examples.batches(self.batch_size, order, first, features=self._features):
            yield Step(self.window(batch), fresh=True)

    @abstractmethod
    def window(self, batch: ExampleBatch) -> Any:
        """Makes of a batch what the model learns from."""


class ExampleSteps(BatchSteps):
    """Whole documents for a language model, each from its `<end>` on a zero state to its end.

    Args:
        examples: Those of the train split; their tokens are read.
        end: Id of `<end>`.
        batch_size, seed: As in `BatchSteps`.
    """

    def __init__(self, examples: Examples, end: int, batch_size: int, seed: int) -> None:
        super().__init__(examples, ["tokens"], batch_size, seed, int(examples.lengths("tokens").max()) + 1)
        self._end = end

    def window(self, batch: ExampleBatch) -> Window:
        tokens = np.pad(batch.features["tokens"], ((0, 0), (1, 1)))
        # A row that fills up the batch has no prediction.
        lengths = np.where(batch.weights > 0, batch.lengths["tokens"] + 1, 0)
        tokens[:, 0] = tokens[np.arange(self.batch_size), lengths] = self._end
        weights = (np.arange(tokens.shape[1] - 1) < lengths[:, None]).astype(np.float32)
        inputs = tokens[:, :-1]
        return Window(inputs, tokens[:, 1:], inputs == self._end, weights)
