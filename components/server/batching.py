"""Joins requests that ask one signature at the same time into one call; each gets its own rows back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from components.served.folder import Signature
from components.server.errors import RequestError
from components.server.tensors import Arrays


class _Waiting(NamedTuple):
    inputs: Arrays
    rows: int
    answer: asyncio.Future[Arrays]


class Batcher:
    """Joins the requests of one signature.

    The first request is called at once. Those that come meanwhile wait for the end of its call, and are the next one:
    nobody waits for mates that may not come, and the more there are, the more a call answers.

    Args:
        call: Calls the signature, of which `can_join` holds.
        limit: Rows of a call.
    """

    def __init__(self, call: Callable[[Arrays], Awaitable[Arrays]], limit: int) -> None:
        self._call = call
        self._limit = limit
        self._waiting: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, inputs: Arrays) -> Arrays:
        """Answers a request.

        Args:
            inputs: All inputs of the signature, each of one row or as many as the longest.

        Raises:
            RequestError: The graph refuses this request's own inputs.
        """
        rows = max(len(value) for value in inputs.values())
        answer: asyncio.Future[Arrays] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(inputs, rows, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft()]
            rows = batch[0].rows
            while self._waiting and rows + self._waiting[0].rows <= self._limit:
                batch.append(self._waiting.popleft())
                rows += batch[-1].rows
            await self._answer([request for request in batch if not request.answer.done()])  # some have given up
        self._task = None

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        try:
            outputs = await self._call(_join(batch))
        except Exception as error:
            if len(batch) > 1 and isinstance(error, RequestError):
                for request in batch:  # whose fault it is
                    await self._answer([request])
                return
            for request in batch:
                if not request.answer.done():
                    request.answer.set_exception(error)
            return
        start = 0
        for request in batch:
            part = slice(start, start + request.rows)
            start = part.stop
            if not request.answer.done():
                request.answer.set_result({name: value[part] for name, value in outputs.items()})


def can_join(signature: Signature) -> bool:
    """Whether requests can be joined: nothing of them or of their answers varies but how many rows there are."""
    return all(map(_varies_in_rows, [*signature.inputs.values(), *signature.outputs.values()]))


def _varies_in_rows(spec: Any) -> bool:
    return bool(spec.shape.rank and spec.shape[0] is None and spec.shape[1:].is_fully_defined())


def _join(batch: Sequence[_Waiting]) -> Arrays:
    if len(batch) == 1:
        return batch[0].inputs
    return {
        name: np.concatenate(
            [np.broadcast_to(one.inputs[name], (one.rows, *one.inputs[name].shape[1:])) for one in batch]
        )
        for name in batch[0].inputs
    }
