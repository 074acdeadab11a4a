"""What all tests share: what is imported, or compiled, once is neither searched for garbage nor compiled again."""

import os
import tempfile
from collections.abc import Iterator

import pytest

from components.heavy_imports import kept_for_good

# Tests compile the same small models many times over: all processes of a test run share what XLA has compiled.
if "PYTEST_XDIST_WORKER" not in os.environ:  # a worker inherits the names
    _compiled = tempfile.TemporaryDirectory(prefix="compiled-", ignore_cleanup_errors=True)
    _given = os.environ.get("TF_XLA_FLAGS", "")
    os.environ["TF_XLA_FLAGS"] = f"{_given} --tf_xla_persistent_cache_directory={_compiled.name}"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _compiled.name)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    with kept_for_good():
        return (yield)
