"""Every case of `reference.CASES`, transformed once."""

import functools
from collections.abc import Callable

import pytest

from components.transform import stage
from tests.components.transform.reference import CASES, Case, Transformed, run_transform, write_examples

SMALL_BLOCK = 7  # bytes; characters of two, three and four bytes straddle the borders


@pytest.fixture(scope="session")
def transformed_case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Transformed]:
    """Returns a function: name of a case → the folders that Transform wrote for it, from small blocks of text."""

    @functools.cache
    def run(name: str) -> Transformed:
        folder = tmp_path_factory.mktemp(name)
        examples = write_examples(folder / "examples", CASES[name].splits)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stage, "BLOCK_BYTES", SMALL_BLOCK)
            return run_transform(examples, folder, **CASES[name].settings)

    return run


@pytest.fixture(params=CASES)
def case_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def case(case_name: str) -> Case:
    return CASES[case_name]


@pytest.fixture
def transformed(case_name: str, transformed_case: Callable[[str], Transformed]) -> Transformed:
    return transformed_case(case_name)
