"""The two errors that change the exit code; every other exception of a stage is exit code 1.

Also the hint that messages about unknown names share.
"""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """A command line, configuration or path the user has to correct (exit code 2)."""


class NotBlessed(Exception):
    """A model that a validation refused: nothing is pushed (exit code 3).

    Args:
        reasons: One sentence for each threshold that was missed.
    """

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("Not blessed: " + " ".join(reasons))
        self.reasons = reasons


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" for the nearest known name, or "" when none is near."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""
