"""Memory that is freed is taken again without the system's help; in a process of its own, for it cannot be undone."""

import ctypes
import subprocess
import sys

import pytest

_SCRIPT = """
import ctypes, resource, sys
if sys.argv[1] == "kept":
    from components.trainer.memory import keep_freed_memory
    keep_freed_memory()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
def use():
    block = library.malloc(ctypes.c_size_t(64 * 2**20))
    ctypes.memset(block, 1, 64 * 2**20)
    library.free(ctypes.c_void_p(block))
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", _SCRIPT, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"),
    reason="only glibc can be told",
)
def test_freed_memory_is_kept() -> None:
    assert page_faults("as it is") > 1000
    assert page_faults("kept") < 100
