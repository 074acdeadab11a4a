"""What makes a shell complete the commands, options and names of `rnn-pipeline`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

SHELLS = ("bash", "zsh")


def completed(action: argparse.Action, kind: str) -> None:
    """Lets shells complete an argument by the names of a kind."""
    setattr(action, "complete", dict.fromkeys(SHELLS, f"_rnn_pipeline_{kind}"))  # noqa: B010


def script(parser: argparse.ArgumentParser, shell: str, names: Mapping[str, Sequence[str]], files: str) -> str:
    """The script for a shell.

    Args:
        parser: Of the whole command line.
        shell: One of `SHELLS`.
        names: Kind → names.
        files: The kind where a file can be meant, too.
    """
    import shtab

    if shell == "bash":
        body = {
            kind: f"compgen {'-f ' * (kind == files)}-W '{' '.join(known)}' -- \"$1\"" for kind, known in names.items()
        }
    else:
        body = {kind: f"compadd {' '.join(known)}{'; _files' * (kind == files)}" for kind, known in names.items()}
    functions = "".join(f"_rnn_pipeline_{kind}() {{ {line}; }}\n" for kind, line in body.items())
    parser.prog = "rnn-pipeline"
    return str(shtab.complete(parser, shell, preamble=functions))
