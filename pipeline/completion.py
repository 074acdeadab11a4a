"""What makes a shell complete the commands, options, names and files of `rnn-pipeline`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

SHELLS = ("bash", "zsh")
# What the help calls an argument → the function that completes it. shtab's own for bash lose names with spaces. In bash
# a word ends at the = of KEY=PATH, and the shell's own completion of files goes on from there.
_FOLDER, _FILE = {"bash": "_rnn_pipeline_dirs", "zsh": "_files -/"}, {"bash": "_rnn_pipeline_files", "zsh": "_files"}
_PATHS: Mapping[str, Mapping[str, str]] = {
    "DIR": _FOLDER,
    "FILE": _FILE,
    "PATH": _FILE,
    "TEXTS": _FILE,
    "KEY=PATH": {"zsh": "_rnn_pipeline_pair"},
}
_FUNCTIONS = {
    "bash": """\
_rnn_pipeline_dirs() { compgen -d -- "$1"; }
_rnn_pipeline_files() { compgen -f -- "$1"; }
""",
    "zsh": "_rnn_pipeline_pair() { compset -P '*='; _files; }\n",
}
_KIND = "complete_kind"  # attribute of an argument


def completed(action: argparse.Action, kind: str) -> None:
    """Lets shells complete an argument by the names of a kind."""
    setattr(action, _KIND, kind)


def script(parser: argparse.ArgumentParser, shell: str, names: Mapping[str, Sequence[str]], files: str) -> str:
    """The script for a shell.

    Args:
        parser: Of the whole command line.
        shell: One of `SHELLS`.
        names: Kind → names.
        files: The kind where a file can be meant, too.
    """
    import shtab

    functions = "".join(
        f"{_function(kind, files)}() {{ {_offer(known, shell, kind == files)}; }}\n" for kind, known in names.items()
    )
    _complete(parser, shell, files)
    parser.prog = "rnn-pipeline"
    written = str(shtab.complete(parser, shell, preamble=functions + _FUNCTIONS[shell]))
    # Where nothing is known, as after KEY=, bash offers files.
    return written.replace("complete -o bashdefault ", "complete -o bashdefault -o default ")


def _complete(parser: argparse.ArgumentParser, shell: str, files: str) -> None:
    """Tells shtab what completes each argument of the parser, and of those of its commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete(command, shell, files)
        elif hasattr(action, _KIND):
            setattr(action, "complete", {shell: _function(getattr(action, _KIND), files)})  # noqa: B010
        elif action.metavar in _PATHS:
            setattr(action, "complete", _PATHS[str(action.metavar)])  # noqa: B010


def _function(kind: str, files: str) -> str:
    # By this ending shtab tells bash that the words are files: a folder ends in a slash, and can be gone into.
    return f"_rnn_pipeline_{kind}{'_files' * (kind == files)}"


def _offer(known: Sequence[str], shell: str, with_files: bool) -> str:
    if shell == "bash":
        return f"compgen {'-f ' * with_files}-W '{' '.join(known)}' -- \"$1\""
    return f"compadd {' '.join(known)}{'; _files' * with_files}"
