"""What the tabulator key does in a real shell at a terminal: names, files, and folders that can be gone into."""

import argparse
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.commands import folder
from pipeline.completion import script

TALE = "my texts/tale.txt"
# How each is started without anybody's settings, and what reads the script.
START = {"bash": ["bash", "--noprofile", "--norc", "-i"], "zsh": ["zsh", "-f", "-i"]}
READ = {
    "bash": "source ./script",
    "zsh": "PS1='$ '; autoload -U compinit; compinit -u -D; eval \"$(cat script)\"",
}
SHELLS = [
    pytest.param(
        shell, marks=pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed"), id=shell
    )
    for shell in START
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("novels/config.yaml", "novels/serving/1/x", TALE, "poems.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def typed(shell: str, keys: str, place: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Types a line with tabulators into a shell, and returns the arguments that the command then gets."""
    assert cli.main(["completion", shell]) == 0
    (place / "script").write_text(capsys.readouterr().out, "utf-8")
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "HOME": str(place), "TERM": "dumb", "PS1": "$ ", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        START[shell],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=place,
        env=environment,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        define = f"{READ[shell]}; rm script; rnn-pipeline() {{ printf '<%s>\\n' \"$@\"; }}"
        # The quotes tell what is printed from the echo of what is typed.
        os.write(ours, f"{define}; echo REA''DY\n".encode())
        _read_until(b"READY\r\n", ours)
        os.write(ours, f"rnn-pipeline {keys}; echo DO''NE\n".encode())
        printed = _read_until(b"DONE\r\n", ours).decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return [line[1:-1] for line in printed.split("\r\n") if line.startswith("<")]


def _read_until(end: bytes, terminal: int) -> bytes:
    read, deadline = b"", time.monotonic() + 20
    while end not in read:
        assert time.monotonic() < deadline, read
        if select.select([terminal], [], [], 0.5)[0]:
            read += os.read(terminal, 4096)
    return read


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("keys", "arguments"),
    [
        ("run --config tinysh\t", ["run", "--config", "tinyshakespeare"]),
        ("run --config nov\tc\t", ["run", "--config", "novels/config.yaml"]),
        ("run --root ~/nov\tse\t", ["run", "--root", "{}/novels/serving/"]),
        ("score --model nov\tse\t po\t", ["score", "--model", "novels/serving/", "poems.txt"]),
        ("bulk --output nov\t --model nov\t my\tt\t", ["bulk", "--output", "novels/", "--model", "novels/", TALE]),
        ("sample --prompt-file my\tt\t", ["sample", "--prompt-file", TALE]),
        ("rollback --model nov\tse\t", ["rollback", "--model", "novels/serving/"]),
        ("lineage nov\tse\t1\t", ["lineage", "novels/serving/1/"]),
        ("compile --output po\t", ["compile", "--output", "poems.txt"]),
        ("init nov\t po\t", ["init", "novels/", "poems.txt"]),
        ("stage pus\t --input model=my\tt\t", ["stage", "pusher", "--input", f"model={TALE}"]),
    ],
)
def test_completion_goes_on_into_folders(
    keys: str, arguments: list[str], shell: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = [argument.format(place) for argument in arguments]
    if shell == "zsh":  # which takes the last slash away when a word is done
        expected = [argument.removesuffix("/") for argument in expected]
    assert typed(shell, keys, place, capsys) == expected


def actions(parser: argparse.ArgumentParser, command: str = "") -> Iterator[tuple[str, argparse.Action]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from actions(inner, name)
        else:
            yield command, action


def test_completion_knows_every_argument_that_is_a_path() -> None:
    parser = cli._parser()
    script(parser, "bash", {"stages": [], "configs": []}, "configs")
    paths = [(command, action) for command, action in actions(parser) if action.type in (Path, folder)]
    assert len(paths) > 10
    assert [f"{command} {action.dest}" for command, action in paths if not hasattr(action, "complete")] == []


def test_parser_needs_nothing_of_the_completion() -> None:
    code = "import sys; from pipeline import cli; cli._parser(); sys.exit('shtab' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
