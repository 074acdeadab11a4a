"""The README's map of the files."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
MAP = (REPOSITORY / "README.md").read_text("utf-8").split("## Where things are")[1].split("\n## ")[0]
MODULES = [
    path.relative_to(REPOSITORY).as_posix()
    for package in ("pipeline", "components", "custom_layers", "configs", "benchmarks")
    for path in sorted((REPOSITORY / package).rglob("*"))
    if path.suffix in (".py", ".yaml") and path.name != "__init__.py"
]


def named_in(map_of_files: str) -> set[str]:
    """Paths in the first column of the map; a bare file name belongs to the folder of the path before it."""
    found = set()
    for row in re.findall(r"^\| (.*?) \|", map_of_files, re.MULTILINE):
        folder = Path()
        for name in re.findall(r"`([^`]+)`", row):
            path = Path(name) if "/" in name else folder / name
            folder = path.parent
            found.add(path.as_posix() + ("/" if name.endswith("/") else ""))
    return found


@pytest.mark.parametrize("module", MODULES)
def test_readme_names_every_file(module: str) -> None:
    named = named_in(MAP)
    assert module in named or module.rpartition("/")[0] + "/" in named


def test_readme_names_no_file_that_is_gone() -> None:
    gone = [name for name in named_in(MAP) if not name.startswith("make ") and not (REPOSITORY / name).exists()]
    assert gone == []
