"""What the protocols share: which requests are called together, and the end of those in flight."""

import asyncio
import gc
import threading
import weakref

import numpy as np
import pytest

from components.served.request import TextRequest
from components.server.core import Core
from components.server.errors import RequestError
from components.server.limits import Limits
from components.server.version import LoadedVersion
from components.server.versions import Versions
from tests.components.server.running import SECONDS


def make(tmp_path, **limits):
    return Core(Versions("m", tmp_path), Limits(**limits))


def score(core, version, *lengths):
    texts = np.empty(len(lengths), object)
    texts[:] = [b"h" * length for length in lengths]
    return asyncio.create_task(core.predict(version, "score", {"text": texts}))


class Calls:
    """Calls of a version, which wait until they are let go."""

    def __init__(self, version, monkeypatch):
        self.texts = []
        self.go = threading.Event()
        call = version.call

        def called(name, inputs):
            self.texts.append(sorted(map(len, inputs["text"])))
            assert self.go.wait(SECONDS)
            return call(name, inputs)

        monkeypatch.setattr(version, "call", called)

    async def begun(self, number):
        while len(self.texts) < number:
            await asyncio.sleep(0.001)


@pytest.fixture
def version(server):
    return server.core.versions.loaded[0]


def test_short_texts_are_not_joined_with_long_ones_and_do_not_wait_for_them(version, tmp_path, monkeypatch):
    calls = Calls(version, monkeypatch)

    async def run():
        core = make(tmp_path)
        asked = [score(core, version, 3000)]
        await calls.begun(1)
        asked.append(score(core, version, 5))  # is begun, though the long one is not done
        await calls.begun(2)
        asked += [score(core, version, 2900), score(core, version, 6), score(core, version, 2800), score(core, version)]
        asked += [score(core, version, 7, 8)]
        await asyncio.sleep(0.1)
        calls.go.set()
        answers = await asyncio.gather(*asked[:5], asked[6])
        return [answer["tokens"].tolist() for answer in answers]

    assert asyncio.run(run()) == [[3001], [6], [2901], [7], [2801], [8, 9]]
    assert sorted(calls.texts[2:]) == [[], [6, 7, 8], [2800, 2900]]


def test_texts_that_are_joined_have_no_more_places_than_a_request_may(version, tmp_path, monkeypatch):
    calls = Calls(version, monkeypatch)

    async def run():
        core = make(tmp_path, prompt_length=4096)
        first = score(core, version, 1000)
        await calls.begun(1)
        others = [score(core, version, 900 + i) for i in range(6)]
        await asyncio.sleep(0.1)
        calls.go.set()
        await asyncio.gather(first, *others)

    asyncio.run(run())
    assert calls.texts == [[1000], [900, 901, 902, 903], [904, 905]]


def test_requests_in_flight_are_given_up_with_an_error_that_says_so(version, tmp_path):
    go = threading.Event()

    async def read_no_body():
        await asyncio.Event().wait()

    async def run():
        core = make(tmp_path)
        request = TextRequest(max_length=100_000, min_length=100_000)
        waits = [
            core.write(version, [request] * 3),
            core.in_thread(lambda: go.wait(SECONDS)),
            core.in_time(read_no_body()),
        ]
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        while not version.writing.active:
            await asyncio.sleep(0.001)
        core.give_up()
        tasks.append(asyncio.ensure_future(core.in_time(read_no_body())))  # begun too late
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        core.close()  # does not wait
        assert core.is_working
        go.set()
        return errors

    errors = asyncio.run(run())
    assert [(type(error), error.status) for error in errors] == [(RequestError, 503)] * 4


def test_client_that_leaves_is_no_end_of_the_server(tmp_path):
    async def run():
        core = make(tmp_path)
        task = asyncio.ensure_future(core.in_time(asyncio.sleep(SECONDS)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_version_that_is_unloaded_leaves_memory(small, tmp_path):
    core = make(tmp_path)

    async def run(version):
        return await score(core, version, 3)

    def used():
        version = LoadedVersion(1, small.saved_model)
        assert asyncio.run(run(version))["tokens"].tolist() == [4]
        version.close()
        return weakref.ref(version)

    gone = used()
    gc.collect()

    assert gone() is None
    core.close()
