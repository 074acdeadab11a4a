"""What `--help` and a shell's completion offer."""

import re
import shlex
import shutil
import subprocess

import pytest

from pipeline import cli

COMMANDS = re.findall(r"^    (\w+) ", cli._parser().format_help(), re.M)


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main([command, "--help"]) == 0
    return capsys.readouterr().out


def test_help_lists_the_promised_commands() -> None:
    promised = {"run", "stage", "sample", "score", "serve", "runs", "lineage", "stages", "configs"}
    assert promised <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_examples_are_command_lines_of_that_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = help_of(command, capsys).partition("examples:\n")[2].splitlines()
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line.partition(">>")[0])
        assert (program, arguments[0]) == ("run_pipeline.py", command)
        cli._parser().parse_args(arguments)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_script_is_one_that_the_shell_can_read(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert subprocess.run([shell, "-n"], input=script, text=True, check=False).returncode == 0
    assert "infra_validator" in script


def completions(line: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """What bash offers for the last word of a line."""
    assert cli.main(["completion", "bash"]) == 0
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    program = (
        f"{capsys.readouterr().out}\nCOMP_WORDS=({' '.join(map(shlex.quote, words))})\nCOMP_CWORD={len(words) - 1}\n"
        f"_shtab_rnn_pipeline\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    )
    done = subprocess.run(["bash"], input=program, capture_output=True, text=True, check=True)
    return {word.strip() for word in done.stdout.splitlines()}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("rnn-pipeline lin", {"lineage"}),
        ("rnn-pipeline run --config tinysh", {"tinyshakespeare"}),
        ("rnn-pipeline run --from infra", {"infra_validator"}),
        ("rnn-pipeline stage push", {"pusher"}),
        ("rnn-pipeline run --expl", {"--explain"}),
    ],
)
def test_completion_offers_commands_options_and_names(
    line: str, offered: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    assert completions(line, capsys) == offered
