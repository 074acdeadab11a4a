"""Sessions: bounded, reclaimed, and nobody's but their own."""

import numpy as np
import pytest

from components.server.errors import RequestError
from components.server.sessions import Sessions

CARRY = {"state_0": np.ones(3)}


class Clock:
    seconds = 100.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


def status(call, *arguments):
    with pytest.raises(RequestError) as error:
        call(*arguments)
    return error.value.status


def test_session_keeps_what_was_left_off(clock):
    sessions = Sessions(2, 60, clock)
    opened = sessions.open(7)
    assert (opened.version, opened.carry) == (7, None)

    sessions.give_back(sessions.take(opened.id), CARRY)
    again = sessions.take(opened.id)
    assert again.carry is CARRY
    sessions.give_back(again, None)  # a request that failed

    assert sessions.take(opened.id).carry is CARRY


def test_thousand_abandoned_sessions_are_reclaimed(clock):
    sessions = Sessions(1000, 60, clock)
    ids = [sessions.open(1).id for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert status(sessions.open, 1) == 429

    clock.seconds += 30
    sessions.give_back(sessions.take(ids[500]), CARRY)
    clock.seconds += 31

    assert len(sessions) == 1
    assert status(sessions.take, ids[0]) == 404
    assert sessions.take(ids[500]).carry is CARRY
    assert [sessions.open(1) for _ in range(999)]


def test_session_that_is_answering_is_busy_and_does_not_expire(clock):
    sessions = Sessions(3, 60, clock)
    busy, other = sessions.open(1), sessions.open(1)
    sessions.take(busy.id)

    clock.seconds += 61
    assert status(sessions.take, busy.id) == 409
    assert status(sessions.take, other.id) == 404

    sessions.give_back(busy, CARRY)
    assert sessions.take(busy.id).carry is CARRY


def test_closed_and_unknown_sessions_are_not_found(clock):
    sessions = Sessions(1, 60, clock)
    opened = sessions.open(1)
    taken = sessions.take(opened.id)

    sessions.close(opened.id)
    sessions.give_back(taken, CARRY)  # its last request ends

    for id in (opened.id, "", "x" * 32):
        assert status(sessions.take, id) == 404
        assert status(sessions.close, id) == 404
    assert sessions.open(1).id != opened.id


def test_ids_cannot_be_guessed():
    ids = [Sessions(1, 60).open(1).id for _ in range(50)]

    assert min(map(len, ids)) >= 32
    assert len({id[:8] for id in ids}) == 50
