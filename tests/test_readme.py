"""The README's map of the files."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text("utf-8")
MODULES = [
    path.relative_to(REPOSITORY).as_posix()
    for package in ("pipeline", "components", "custom_layers", "configs")
    for path in sorted((REPOSITORY / package).rglob("*"))
    if path.suffix in (".py", ".yaml") and path.name != "__init__.py"
]


def named_in(map_of_files: str) -> set[str]:
    """Paths in the first column of the map; a bare file name belongs to the folder of the path before it."""
    found = set()
    for row in re.findall(r"^\| (.*?) \|", map_of_files, re.MULTILINE):
        folder = ""
        for name in re.findall(r"`([^`]+)`", row):
            path = name if "/" in name else f"{folder}{name}"
            folder = path.rpartition("/")[0] + "/"
            found.add(path)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_readme_names_every_file(module: str) -> None:
    named = named_in(README)
    assert module in named or module.rpartition("/")[0] + "/" in named


def test_readme_names_no_file_that_is_gone() -> None:
    named = {name for name in named_in(README) if "/" in name and "*" not in name and not name.startswith("python ")}
    assert named
    assert [name for name in named if not (REPOSITORY / name).exists()] == []
