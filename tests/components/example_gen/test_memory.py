"""Memory: a worker's peak does not grow with its files, and planning takes some ten bytes a document."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
CODE = """
import sys
from pathlib import Path
from components.example_gen.groups import Group, Job, Piece
from components.example_gen.staging import stage_group
from pipeline.config import FieldsConfig

folder, layout, path = sys.argv[1:]
job = Job(folder, layout, FieldsConfig(), separator=b"<|end|>")
stage_group(Group(0, (Piece("a", path),)), job, lambda **done: None)
status = Path("/proc/self/status").read_text()
print(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024)
"""


def peak(folder: Path, layout: str, path: Path) -> float:
    """MiB that reading a file takes in a process of its own."""
    command = [sys.executable, "-c", CODE, str(folder), layout, str(path)]
    return float(subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak of memory is read from Linux' /proc")
@pytest.mark.parametrize(
    ("layout", "unit"),
    [
        ("file", b"one document, whole: \xc3\xa9\n"),
        ("line", b"one line without an end \xc3\xa9 "),
        ("line", b"many lines " * 9 + b"\xc3\xa9\n"),
        ("separator", b"text\n" * 30 + b"<|end|>"),
        ("jsonl", b'{"n": 1, "text": "' + b"one object a line " * 30 + b'"}\n'),
        ("csv", b"a,text\n1," + b"some text " * 50 + b"\n"),
    ],
)
def test_staging_a_file_twenty_times_as_large_takes_no_more_memory(layout: str, unit: bytes, tmp_path: Path) -> None:
    size = 3 << 20
    (tmp_path / "small").write_bytes(unit * (size // len(unit)))
    (tmp_path / "large").write_bytes(unit * (20 * size // len(unit)))
    small, large = (peak(tmp_path / "staging", layout, tmp_path / name) for name in ("small", "large"))
    assert large - small < 15, (small, large)  # of the 57 MiB that the file has grown by
