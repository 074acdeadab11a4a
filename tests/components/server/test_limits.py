"""Limits from the command line."""

import pytest

from components.server.errors import RequestError
from components.server.limits import Limits
from pipeline.errors import UsageError


def test_limits_are_set_by_name():
    limits = Limits.parse(["seconds=0.5", "rows=3"])

    assert (limits.seconds, limits.rows) == (0.5, 3)
    assert isinstance(limits.rows, int)
    assert limits.sessions == Limits().sessions
    assert Limits.parse([]) == Limits()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("row=3", "Did you mean 'rows'"),
        ("rows", "a number above 0"),
        ("rows=0", "a number above 0"),
        ("rows=2.5", "a number above 0"),
        ("seconds=nan", "a number above 0"),
        ("seconds=inf", "a number above 0"),
        ("seconds=-1", "a number above 0"),
    ],
)
def test_limit_that_is_none_is_refused(setting, said):
    with pytest.raises(UsageError, match=said):
        Limits.parse([setting])


def test_what_is_at_the_limit_passes_and_what_is_above_does_not():
    limits = Limits(rows=2, places=3, prompt_length=4, max_length=5)

    for check, value in (
        (limits.check_rows, 2),
        (limits.check_places, 3),
        (lambda length: limits.check_text("text", length), 4),
        (limits.check_max_length, 5),
    ):
        check(value)
        with pytest.raises(RequestError, match=f"Received: .*{value + 1}") as error:
            check(value + 1)
        assert error.value.status == 400
