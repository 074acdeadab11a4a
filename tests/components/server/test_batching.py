"""Requests that are joined into one call."""

import asyncio
import types

import numpy as np
import pytest

from components.server.batching import Batcher, can_join
from components.server.errors import invalid


def spec(*shape):
    import tensorflow as tf

    return tf.TensorSpec(shape, tf.float32)


def signature(inputs, outputs):
    return types.SimpleNamespace(inputs=inputs, outputs=outputs)


@pytest.mark.parametrize(
    ("inputs", "outputs", "joined"),
    [
        ({"x": spec(None)}, {"y": spec(None), "z": spec(None, 3)}, True),
        ({"x": spec(None, 2)}, {"y": spec(None)}, True),
        ({"x": spec(None)}, {"y": spec(None), "z": spec(4)}, False),  # of whom?
        ({"x": spec(None)}, {"y": spec(None, None)}, False),  # as wide as the longest row
        ({"x": spec(None, None)}, {"y": spec(None)}, False),
        ({"x": spec()}, {"y": spec(None)}, False),
    ],
)
def test_requests_are_joined_where_only_the_rows_vary(inputs, outputs, joined):
    assert can_join(signature(inputs, outputs)) == joined


class Model:
    """y = x + b, row by row; refuses -1; its calls wait until they are let go."""

    def __init__(self):
        self.calls = []
        self.go = asyncio.Event()

    async def __call__(self, inputs):
        x, b = np.broadcast_arrays(inputs["x"], inputs["b"])
        self.calls.append(x.tolist())
        await self.go.wait()
        if (x == -1).any():
            raise invalid("x must not be -1.")
        return {"y": x + b}


def ask(batcher, x, b=(0,)):
    return asyncio.create_task(batcher({"x": np.asarray(x), "b": np.asarray(b)}))


async def started(limit=10):
    """A model that is answering [100], and its batcher."""
    model = Model()
    batcher = Batcher(model, limit)
    first = ask(batcher, [100])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return model, batcher, first


def test_requests_that_come_during_a_call_are_the_next_one_and_get_their_own_rows():
    async def run():
        model, batcher, first = await started()
        asked = [ask(batcher, [1, 2], [10]), ask(batcher, [3]), ask(batcher, [4, 5, 6], [1, 2, 3])]
        await asyncio.sleep(0)
        model.go.set()
        return model.calls, await asyncio.gather(first, *asked)

    calls, (first, *answers) = asyncio.run(run())

    assert calls == [[100], [1, 2, 3, 4, 5, 6]]
    assert first["y"].tolist() == [100]
    assert [answer["y"].tolist() for answer in answers] == [[11, 12], [3], [5, 7, 9]]


def test_a_call_has_no_more_rows_than_the_limit():
    async def run():
        model, batcher, first = await started(limit=4)
        asked = [ask(batcher, [i, i]) for i in range(5)]
        await asyncio.sleep(0)
        model.go.set()
        await asyncio.gather(first, *asked)
        return model.calls

    assert asyncio.run(run()) == [[100], [0, 0, 1, 1], [2, 2, 3, 3], [4, 4]]


def test_a_request_that_is_refused_costs_its_mates_nothing():
    async def run():
        model, batcher, first = await started()
        asked = [ask(batcher, [1]), ask(batcher, [-1]), ask(batcher, [2])]
        await asyncio.sleep(0)
        model.go.set()
        return await asyncio.gather(first, *asked, return_exceptions=True)

    _, one, bad, two = asyncio.run(run())

    assert (one["y"].tolist(), two["y"].tolist()) == ([1], [2])
    assert "must not be -1" in str(bad)


def test_a_request_that_gave_up_is_not_called():
    async def run():
        model, batcher, first = await started()
        gone, stays = ask(batcher, [1]), ask(batcher, [2])
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        model.go.set()
        await asyncio.gather(first, stays)
        return model.calls

    assert asyncio.run(run()) == [[100], [2]]


def test_an_error_of_the_model_reaches_all_who_wait_and_the_next_request_is_answered():
    async def run():
        broken = True

        async def call(inputs):
            await asyncio.sleep(0)
            if broken:
                raise RuntimeError("out of memory")
            return {"y": inputs["x"]}

        batcher = Batcher(call, 10)
        failed = await asyncio.gather(ask(batcher, [1]), ask(batcher, [2]), return_exceptions=True)
        broken = False
        return failed, await ask(batcher, [3])

    failed, answer = asyncio.run(run())

    assert [str(error) for error in failed] == ["out of memory"] * 2
    assert answer["y"].tolist() == [3]
