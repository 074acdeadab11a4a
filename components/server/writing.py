"""The thread that writes the texts of all requests to a model, each step of the network for all of them."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from components.served.engine import Engine, Text
from components.served.language import Arrays, ServedLanguageModel
from components.served.request import TextRequest

_LOG = logging.getLogger(__name__)

# What a request is told after each turn that went on with its text: the text, what is new of it, and what went wrong.
Notify = Callable[[Text | None, str, Exception | None], None]


class Job:
    """A text that somebody waits for."""

    def __init__(self, request: TextRequest, carry: Arrays | None, notify: Notify) -> None:
        self.request = request
        self.carry = carry
        self.notify = notify
        self.text: Text | None = None
        self.cancelled = False

    def cancel(self) -> None:
        """Nobody waits any more: it is dropped before the next turn."""
        self.cancelled = True


class WritingThread:
    """Runs an engine in a thread of its own, whose work comes through a queue.

    Args:
        model: What to write with.

    Attributes:
        tokens: Written since the start.
    """

    def __init__(self, model: ServedLanguageModel) -> None:
        self.tokens = 0
        self._engine = Engine(model)
        self._new: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._jobs: list[Job] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="writing", daemon=True)

    def start(self) -> None:
        """Compiles, then begins to work."""
        self._engine.warm_up()
        self._thread.start()

    def submit(self, request: TextRequest, carry: Arrays | None, notify: Notify) -> Job:
        """Adds a text. `notify` is called in the thread, at last with a text that is done, or an error."""
        job = Job(request, carry, notify)
        self._new.put(job)
        return job

    def close(self) -> None:
        """Ends the thread when all texts are done; waits for it."""
        self._new.put(None)
        self._thread.join()

    @property
    def active(self) -> int:
        """Texts that are being written."""
        return self._engine.active

    @property
    def waiting(self) -> int:
        """Texts that have not begun."""
        return self._engine.waiting + self._new.qsize()

    def _run(self) -> None:
        while self._jobs or not self._closing:
            self._take_new()
            for job in [job for job in self._jobs if job.cancelled]:
                self._jobs.remove(job)
                if job.text is not None:
                    self._engine.cancel(job.text)
            try:
                went_on = {id(text) for text in self._engine.turn()}
            except Exception as error:
                _LOG.exception("texts could not be written")
                # Whoever waits is told; the next texts begin with a new engine's empty rows.
                for job in self._jobs:
                    job.notify(None, "", error)
                    if job.text is not None:
                        self._engine.cancel(job.text)
                self._jobs.clear()
                continue
            for job in [job for job in self._jobs if id(job.text) in went_on]:
                assert job.text is not None
                if job.text.done:
                    self._jobs.remove(job)
                    self.tokens += job.text.tokens
                job.notify(job.text, job.text.take(), None)

    def _take_new(self) -> None:
        """Takes what is in the queue; waits for something if there is nothing to do."""
        block = not self._jobs
        while True:
            try:
                job = self._new.get(block=block)
            except queue.Empty:
                return
            block = False
            if job is None:
                self._closing = True
                return
            try:
                job.text = self._engine.add(job.request, job.carry)
            except Exception as error:
                job.notify(None, "", error)
            else:
                self._jobs.append(job)
