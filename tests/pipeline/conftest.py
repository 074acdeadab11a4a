"""Fixtures of the pipeline's tests."""

from collections.abc import Iterator

import pytest

from tests.pipeline import fakes


@pytest.fixture(autouse=True)
def _clean_fakes() -> Iterator[None]:
    fakes.RAN.clear()
    fakes.HOOKS.clear()
    fakes.REFUSALS.clear()
    yield
    fakes.HOOKS.clear()
    fakes.REFUSALS.clear()
