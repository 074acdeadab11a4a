"""The command line: what can be asked, how a request reaches the pipeline, and which exit code answers it."""

from __future__ import annotations

import argparse
import functools
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pipeline import model_commands, rollback, root_commands, run_commands
from pipeline.commands import DONE, check_backend, folder, known_recipes, report
from pipeline.completion import SHELLS, script
from pipeline.errors import UsageError, did_you_mean

# Heavy modules (and pydantic) are imported by the commands that need them: `--help` answers at once.

INTERRUPTED, BROKEN_PIPE = 130, 141  # what a shell reports for SIGINT and SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The arguments; `sys.argv[1:]` when None.

    Returns:
        The exit code: 0 done, 1 a stage (or a model) failed, 2 bad usage or config, 3 not blessed.
    """
    _quiet_environment()
    arguments = argparse.Namespace()
    try:
        _parser().parse_args(argv, arguments)
        if not arguments.debug:
            # Beam logs the traceback of an error that it then raises; one message is enough.
            logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
        code = int(arguments.command(arguments))
        sys.stdout.flush()
        return code
    except SystemExit as error:  # argparse, after --help
        return int(error.code or 0)
    except BrokenPipeError:
        # The reader (`head`) has seen enough. The interpreter must not fail on the rest when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return BROKEN_PIPE
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return INTERRUPTED
    except Exception as error:
        return report(error, getattr(arguments, "debug", False))


def _quiet_environment() -> None:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character of a text shows its escape, rather than ending the command.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


# ---- Commands -------------------------------------------------------------------------------------------------------


def _completion(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from pipeline import console, graph

    recipes = [file.stem for file in known_recipes()]
    names = {"stages": [stage.stage_name() for stage in graph.stages()], "configs": recipes}
    console.say(script(parser, arguments.shell, names, files="configs"))
    return DONE


def _stages(arguments: argparse.Namespace) -> int:
    from pipeline import console, graph

    console.show_stages(graph.stages())
    return DONE


def _configs(arguments: argparse.Namespace) -> int:
    from pipeline import console

    console.show_recipes(known_recipes())
    return DONE


def _lab(arguments: argparse.Namespace) -> int:
    from components.lab import catalogue
    from pipeline import console

    if arguments.list:
        console.show_demonstrations(catalogue.STANDARD, catalogue.LONG)
        return DONE
    check_backend()
    catalogue.check(arguments.names)
    if not 0 <= arguments.seed < 2**31:
        raise UsageError(f"lab: --seed must be >= 0 and below 2^31. Received: {arguments.seed}.")
    if arguments.output.exists() and not arguments.output.is_dir():
        raise UsageError(f"lab: --output must be a folder. Received: {str(arguments.output)!r}, a file.")
    from components.lab.run import run

    run(arguments.names, arguments.output, arguments.seed, console.say)
    return DONE


# ---- Parser ---------------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """A parser whose mistakes are a `UsageError` with the nearest known name, instead of a usage page."""

    def error(self, message: str) -> NoReturn:
        choice = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message)
        hint = did_you_mean(choice[1], re.findall(r"[\w-]+", choice[2])) if choice else ""
        raise UsageError(f"{self.prog}: {message}.{hint} See {self.prog} --help.")


def _parser() -> _Parser:
    parser = _Parser(
        prog="run_pipeline.py",
        description="Turns corpora into trained, validated, served recurrent networks.",
        epilog="Exit codes: 0 done; 1 a stage failed; 2 bad usage or config; 3 not blessed (nothing pushed).",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, function: object, text: str, *examples: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog="\n".join(["examples:", *(f"  {parser.prog} {example}" for example in examples)]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        added.set_defaults(command=function)
        added.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return added

    run_commands.add(command)
    model_commands.add(command)
    root_commands.add(command)
    rollback.add(command)

    lab = command(
        "lab",
        _lab,
        "Measure and draw the lecture's demonstrations of gradients on the real layer.",
        "lab --list",
        "lab cliff truncation --output runs/lab",
    )
    lab.add_argument("names", nargs="*", metavar="NAME", help="which ones, see --list (default: all short ones)")
    lab.add_argument("--list", action="store_true", help="list the demonstrations and do nothing else")
    lab.add_argument("--output", type=folder, default=Path("runs/lab"), metavar="DIR", help="default: runs/lab")
    lab.add_argument("--seed", type=int, default=0, metavar="S", help="seed of everything drawn (default: 0)")

    command("stages", _stages, "List the stages: name, inputs → outputs, what each does.", "stages")
    command("configs", _configs, "List the recipes that --config knows by name.", "configs")

    text = "Print what makes a shell complete the commands, options, names and files of rnn-pipeline."
    completion = command(
        "completion", functools.partial(_completion, parser), text, "completion bash >> ~/.bashrc", "completion zsh"
    )
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash or zsh")
    return parser
