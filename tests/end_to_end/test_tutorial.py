"""Every command of docs/tutorial.md is typed as it stands there, and what comes is what is written there."""

import doctest
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.command_line import REPOSITORY
from tests.processes import fresh_environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("curl") is None, reason="the tutorial asks the server with curl"),
]
_SECONDS = 1200
_AFTER = "---- the next command ----"


def commands(text: str) -> list[tuple[str, str]]:
    """Command and expected output of each `$ ` line in the `console` blocks."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def typed(lines: list[str], folder: Path) -> list[str]:
    """What one shell prints after each command, on stdout and stderr, as at a terminal."""
    script = "".join(f"{line}\ncode=$?; echo '{_AFTER}'; (exit $code)\n" for line in lines)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash"],
        input=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=fresh_environment() | {"PATH": path, "COLUMNS": "200"},
        timeout=_SECONDS,
        check=False,
    )
    return done.stdout.split(f"{_AFTER}\n")[:-1]


def fits(expected: str, output: str) -> bool:
    """As doctest: `...` is any text, and white space is white space."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    # At a line's beginning doctest would take dots for its own prompt, so a word stands before them on both sides.
    return doctest.OutputChecker().check_output(f"output: {expected}", f"output: {output}", flags)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def test_tutorial_is_true(tmp_path: Path) -> None:
    for path in REPOSITORY.iterdir():  # as in a clone, but that what is made stays out of it
        if path.name not in ("runs", ".git"):
            (tmp_path / path.name).symlink_to(path)
    text = (REPOSITORY / "docs" / "tutorial.md").read_text("utf-8")
    for port, free in zip((8501, 8500), free_ports(2), strict=True):
        text = text.replace(str(port), str(free))
    steps = commands(text)

    outputs = typed([command for command, _ in steps], tmp_path)

    wrong = [
        f"$ {command}\n{output}\nexpected:\n{expected}"
        for (command, expected), output in zip(steps, outputs, strict=False)
        if not fits(expected, output)
    ]
    assert not wrong, "\n\n".join(wrong)
    assert len(outputs) == len(steps) >= 20
    assert len(list(tmp_path.glob("runs/mine/reports/*/report.html"))) == 4
    # What is said between the commands: the first model is behind the trigrams, the second is better.
    rows = re.findall(r"^eval +\S+ +\S+ +(\S+) .*\(([+-])\S+\)$", "".join(outputs), re.MULTILINE)
    (_, _, (first, gain), (second, _), *_) = rows  # the toy's twice, then those of one's own texts
    assert gain == "-"
    assert float(second) < float(first)


@pytest.mark.parametrize(
    ("expected", "output", "right"),
    [
        ("a ... c\n", "a b c\n", True),
        ("...\nc\n", "a\nb\nc\n", True),
        ("c\n", "a\nc\n", False),
        ("3\n", "0\n", False),
        ("", "", True),
        ("", "unexpected\n", False),
    ],
)
def test_tutorial_that_is_not_true_is_found_out(expected: str, output: str, right: bool) -> None:
    assert fits(expected, output) is right


def test_commands_and_exit_codes_are_read_as_they_stand(tmp_path: Path) -> None:
    text = (
        "```console\n$ echo one\none\n$ false\n$ echo $?\n1\n```\n`$ echo no`\n```console\n$ x=2\n$ echo $x\n2\n```\n"
    )
    steps = commands(text)
    assert steps == [("echo one", "one\n"), ("false", ""), ("echo $?", "1\n"), ("x=2", ""), ("echo $x", "2\n")]
    assert typed([command for command, _ in steps], tmp_path) == [output for _, output in steps]
