"""Real data sets, in the folder that the variable `RNN_DATA` names, else in `shared/data` beside the checkout."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("RNN_DATA", Path(__file__).parents[2] / "shared" / "data"))


def files_at_hand(pattern: str) -> list[Path]:
    """The files of a set; the test is skipped where there are none."""
    files = sorted(DATA.glob(pattern))
    if not files:
        pytest.skip(f"{DATA / pattern} is not at hand")
    return files
