"""Answers requests, whatever protocol they came by: limits, the writing of texts, calls of other signatures."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from components.served.engine import Text
from components.served.language import Arrays as Carry
from components.served.request import TextRequest
from components.server.batching import Batcher, can_join
from components.server.errors import busy, invalid, too_late, unavailable
from components.server.limits import Limits
from components.server.sessions import Sessions
from components.server.tensors import Arrays
from components.server.version import LoadedVersion
from components.server.versions import Versions
from components.server.writing import Job

_Result = TypeVar("_Result")
# Signatures that keep nothing of the places that they are done with: all places of a request may be as many as those of
# the longest text.
_IN_PIECES = ("score",)
# Inputs that are tokens: by their ids, or as bytes, which may be a part of a character.
_IDS = ("token", "ids", "given")
# Texts are joined with those of about their length; up to so many tokens they all are.
_SHORT = 64
# Other signatures than those that write: calls at once. TensorFlow uses all cores for each.
_CALLS = 2


class Core:
    """What both protocols share.

    Args:
        versions: Of the model.
        limits: Of requests.

    Attributes:
        versions, limits: As given.
        sessions: The open ones.
        in_flight: Requests that are being answered.
        is_ending: No further requests are taken.
    """

    def __init__(self, versions: Versions, limits: Limits) -> None:
        self.versions = versions
        self.limits = limits
        self.sessions = Sessions(limits.sessions, limits.session_seconds)
        self.in_flight = 0
        self.is_ending = False
        self._given_up = False
        self._waits: set[asyncio.Future[Any]] = set()
        self._batchers: weakref.WeakKeyDictionary[LoadedVersion, dict[tuple[str, int], Batcher]] = (
            weakref.WeakKeyDictionary()
        )
        self._threads = ThreadPoolExecutor(_CALLS, thread_name_prefix="signatures")
        self._calls: set[Future[Any]] = set()

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """For as long as a request is answered.

        Raises:
            RequestError: There are too many already, or the server is about to end.
        """
        if self.is_ending:
            raise unavailable("The server is about to end. Ask another one, or again in a moment.")
        if self.in_flight >= self.limits.concurrent:
            raise busy(f"{self.limits.concurrent} requests are being answered, as many as there may be. Try again.")
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    async def predict(self, version: LoadedVersion, signature: str, inputs: Arrays) -> Arrays:
        """Calls a signature; texts are written together with those of other requests.

        Args:
            version: Of the model.
            signature: Its name; "" for the default one.
            inputs: Of the signature's types and shapes.

        Raises:
            RequestError: The inputs do not fit each other, or ask for too much.
        """
        if not version.writes(signature):
            # In a thread: texts are tokenised to know how long they are.
            longest = await asyncio.to_thread(self._check, version, signature, inputs)
            return await self._call(version, signature, version.defaults(signature) | inputs, longest)
        requests = _text_requests(version.defaults(signature) | inputs, self.limits)
        texts = await self.write(version, requests)
        outputs = {
            "text": np.asarray([text.data for text in texts], object),
            "log_prob": np.asarray([text.log_prob for text in texts], np.float32),
            "finished": np.asarray([text.finished for text in texts], bool),
            "repeated": np.asarray([text.repeated for text in texts], bool),
            "tokens": np.asarray([text.tokens for text in texts], np.int32),
        }
        return {name: outputs[name] for name in version.signature(signature).outputs}

    async def _call(self, version: LoadedVersion, signature: str, inputs: Arrays, longest: int) -> Arrays:
        rows = {len(value) for value in inputs.values() if value.ndim}
        if not can_join(version.signature(signature)) or len(rows - {1}) > 1 or 0 in rows:
            return await self.in_thread(lambda: version.call(signature, inputs))
        # A call is as wide as its longest text: short ones neither pay for one that is long, nor wait for it.
        width = max(_SHORT, 1 << (longest - 1).bit_length())
        batchers = self._batchers.setdefault(version, {})
        if (signature, width) not in batchers:
            own = weakref.proxy(version)  # else its batchers would keep it in memory when it is unloaded

            async def call(inputs: Arrays) -> Arrays:
                return await self._run(lambda: own.call(signature, inputs))

            most = max(1, min(self.limits.rows, self._places(signature) // width))
            batchers[signature, width] = Batcher(call, most)
        return await self.in_time(batchers[signature, width](inputs))

    def _check(self, version: LoadedVersion, signature: str, inputs: Arrays) -> int:
        """Refuses what is too much or cannot be; the timesteps of the longest row."""
        specs, rows, longest = version.signature(signature).inputs, 1, 1
        for name, value in inputs.items():
            if not value.ndim:
                if value.dtype.kind in "iu":
                    self.limits.check_rows(int(value))  # the batch size of `initial_state`
                continue
            self.limits.check_rows(len(value))
            rows = max(rows, len(value))
            if name in _IDS:
                version.check_ids(name, value)
            lengths: Iterable[int] = []
            if value.dtype != object:
                lengths = value.shape[1:2] if value.ndim > 1 and specs[name].shape[1] is None else []
            elif name not in _IDS:
                lengths = (self._tokens(version, name, text) for text in value.flat)
            for length in lengths:
                longest = max(longest, length)
                self.limits.check_places(rows * longest, self._places(signature))
        self.limits.check_places(rows * longest, self._places(signature))
        return longest

    def _tokens(self, version: LoadedVersion, name: str, data: bytes) -> int:
        text = _text(name, data)
        self.limits.check_text(name, len(text))
        return version.count_tokens(text)

    def _places(self, signature: str) -> int:
        return self.limits.prompt_length if signature in _IN_PIECES else self.limits.places

    async def in_thread(self, function: Callable[[], _Result]) -> _Result:
        """Runs what takes long elsewhere than in the loop that serves everybody."""
        return await self.in_time(self._run(function))

    def _run(self, function: Callable[[], _Result]) -> Awaitable[_Result]:
        call = self._threads.submit(function)
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return asyncio.wrap_future(call)

    def deadline(self) -> float:
        """Until when a request that begins now must be answered, on the loop's clock."""
        return asyncio.get_running_loop().time() + self.limits.seconds

    async def in_time(
        self, answer: Awaitable[_Result], deadline: float | None = None, late: str = "The answer took longer"
    ) -> _Result:
        """Waits for a part of an answer, no longer than it may take, nor than the server lives.

        Args:
            answer: The part.
            deadline: On the loop's clock; None is as long as a request may take from now on.
            late: What to say of a part that comes too late.

        Raises:
            RequestError: It did not come in time.
        """
        # Not `asyncio.timeout` around it all: the steps of a stream are taken by several tasks.
        wait = asyncio.ensure_future(answer)
        self._waits.add(wait)
        if self._given_up:
            wait.cancel()
        try:
            left = (self.deadline() if deadline is None else deadline) - asyncio.get_running_loop().time()
            return await asyncio.wait_for(wait, left)
        except TimeoutError as error:
            raise too_late(f"{late} than {self.limits.seconds} seconds. Ask for less.") from error
        except asyncio.CancelledError as error:
            if not self._given_up:
                raise
            raise unavailable("The server ends, and the answer did not come before. Ask again in a moment.") from error
        finally:
            self._waits.discard(wait)

    def give_up(self) -> None:
        """Ends the requests in flight: whoever waits is told that the server is not available."""
        self._given_up = True
        for wait in list(self._waits):
            wait.cancel()

    async def write(self, version: LoadedVersion, requests: Sequence[TextRequest]) -> list[Text]:
        """Writes whole texts."""
        texts: list[Text | None] = [None] * len(requests)
        async with contextlib.aclosing(self.stream(version, requests, each_turn=False)) as pieces:
            async for index, text, _, _ in pieces:
                texts[index] = text
        return [text for text in texts if text is not None]

    async def stream(
        self,
        version: LoadedVersion,
        requests: Sequence[TextRequest],
        carry: Carry | None = None,
        each_turn: bool = True,
    ) -> AsyncGenerator[tuple[int, Text, str, bool], None]:
        """Writes texts and yields what is new: which text, its account, the piece, and whether it is the last.

        Args:
            version: Of the model, that is in use until the last piece.
            requests: The texts.
            carry: What the texts go on from.
            each_turn: Whether to yield pieces as they come, or each text once when it is done.

        Raises:
            RequestError: A limit is exceeded.
        """
        for request in requests:
            self.limits.check_max_length(request.max_length)
            self.limits.check_text("prompt", len(request.prompt))
        assert version.writing is not None
        loop, deadline = asyncio.get_running_loop(), self.deadline()
        news: asyncio.Queue[tuple[int, Text | None, str, bool, Exception | None]] = asyncio.Queue()

        def notifier(index: int) -> Callable[[Text | None, str, Exception | None], None]:
            def notify(text: Text | None, piece: str, error: Exception | None) -> None:
                # Read here, in the thread that writes: later it may be done with pieces still to come.
                done = text is not None and text.done
                if each_turn or text is None or done:
                    loop.call_soon_threadsafe(news.put_nowait, (index, text, piece, done, error))

            return notify

        jobs: list[Job] = []
        try:
            jobs += [version.writing.submit(request, carry, notifier(i)) for i, request in enumerate(requests)]
            left = len(jobs)
            while left:
                index, text, piece, done, error = await self.in_time(news.get(), deadline)
                if error is not None:
                    raise error
                assert text is not None
                left -= done
                yield index, text, piece, done
        finally:
            for job in jobs:
                job.cancel()  # nothing, for a text that is done

    @property
    def is_working(self) -> bool:
        """Whether a version is being loaded, or a signature called, be it for a client that does not wait any more."""
        return self.versions.is_loading or bool(self._calls)

    def close(self) -> None:
        """Ends the threads; a call that still runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _text_requests(inputs: Arrays, limits: Limits) -> list[TextRequest]:
    """The rows of `generate` or `sample`, several for a prompt where `samples` says so.

    Raises:
        RequestError: A value that cannot be, or inputs of different lengths.
    """
    rows = len(inputs["prompt"])
    samples = _one(inputs["samples"]) if "samples" in inputs else 1
    if samples < 1:
        raise invalid(f"samples must be 1 or more. Received: samples={samples}.")
    limits.check_rows(rows * samples)
    controls: dict[str, list[Any]] = {}
    for name, value in inputs.items():
        if name == "samples":
            continue
        if len(value) not in (1, rows):
            raise invalid(
                f"Input {name!r} must have one value, or one for each of {rows} prompts. Received: {len(value)}."
            )
        controls[name] = value.tolist() * (1 if len(value) == rows else rows)
    try:
        return [
            TextRequest(
                **{name: values[row] for name, values in controls.items() if name not in ("prompt", "seed")},
                prompt=_text("prompt", controls["prompt"][row]),
                # As an int64 of the graph does, the last seed is followed by the first.
                seed=(controls["seed"][row] + sample + 2**63) % 2**64 - 2**63,
            )
            for row in range(rows)
            for sample in range(samples)
        ]
    except (TypeError, ValueError) as error:
        raise invalid(str(error)) from error


def _one(value: np.ndarray) -> int:
    if value.shape != (1,):
        raise invalid(f"Input 'samples' must have one value. Received: {len(value)}.")
    return int(value[0])


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise invalid(f"{name} must be UTF-8; byte {error.start} is not.") from error
