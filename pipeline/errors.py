"""The errors with a meaning of their own: two change the exit code, one keeps a stage's outputs.

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


class Refused(RuntimeError):
    """A stage did its work and refuses what it found: nothing after it runs (exit code 1, like a failed stage).

    Args:
        stage: Its name.
        folders: Its outputs, which are kept.
        reasons: One sentence each; the last may say what to do.
    """

    def __init__(self, stage: str, folders: Iterable[object], reasons: list[str]) -> None:
        lines = "".join(f"\n  {reason}" for reason in reasons)
        super().__init__(f"{stage} stopped the run, see {', '.join(map(str, folders))}:{lines}")
        self.reasons = reasons


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" for the nearest known name, or "" when none is near."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""
