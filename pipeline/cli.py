"""The command line: what can be asked, how a request reaches the pipeline, and which exit code answers it."""

from __future__ import annotations

import argparse
import functools
import logging
import os
import re
import sqlite3
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pipeline import model_commands, rollback
from pipeline.errors import UsageError, did_you_mean
from pipeline.model_commands import folder

# Heavy modules (and pydantic) are imported by the commands that need them: `--help` answers at once.

RECIPES = Path(__file__).resolve().parents[1] / "configs"
DONE, STAGE_FAILED, BAD_USAGE, NOT_BLESSED = 0, 1, 2, 3
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
        return _report(error, getattr(arguments, "debug", False))


def _quiet_environment() -> None:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character of a text shows its escape, rather than ending the command.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _report(error: Exception, debug: bool) -> int:
    """Prints an error as one readable message and returns its exit code."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, sqlite3.DatabaseError):
        error = UsageError(f"The lineage store metadata.sqlite is damaged ({error}). Move it away to start anew.")
    # The messages of these are sentences; of others (KeyError: 'x') the name says more than the text.
    sentence = isinstance(error, ValueError | RuntimeError | ArithmeticError) and str(error)
    text = str(error) if sentence else f"{type(error).__name__}: {error}".removesuffix(": ")
    sys.stderr.write(f"error: {text}\n")
    return BAD_USAGE if isinstance(error, UsageError) else STAGE_FAILED


# ---- Commands -------------------------------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> int:
    from pipeline import console, graph, runner
    from pipeline.config_file import load_config

    _check_backend()
    config_path = _recipe(arguments.config)
    config = load_config(config_path, arguments.set)
    root = arguments.root or Path("runs") / config.pipeline.name
    named = [arguments.name] if arguments.one_stage else [arguments.from_stage, arguments.to_stage, *arguments.force]
    if "tuner" in named and config.tuner is None:
        raise UsageError(f"tuner: the configuration must have a section `tuner`. Received: {config_path}, without one.")
    what = (graph.stages(config), config, root)
    if arguments.one_stage:
        start = functools.partial(
            runner.run_stage, *what, name=arguments.name, inputs=dict(map(_key_path, arguments.input))
        )
    else:
        start = functools.partial(
            runner.run, *what, from_stage=arguments.from_stage, to_stage=arguments.to_stage, force=arguments.force
        )
    start = functools.partial(start, config_path=str(config_path))
    summary = console.show_run(start, f"{config.pipeline.name}: {config_path} → {root}", arguments.json)
    if summary.exception is not None:
        return _report(summary.exception, arguments.debug)
    return NOT_BLESSED if summary.status == "not_blessed" else DONE


def _check_backend() -> None:
    backend = os.environ["KERAS_BACKEND"]
    if backend not in ("tensorflow", "jax"):
        raise UsageError(
            f"The environment variable KERAS_BACKEND must be tensorflow or jax. Received: {backend!r}."
            f"{did_you_mean(backend, ('tensorflow', 'jax'))}"
        )


def _runs(arguments: argparse.Namespace) -> int:
    from pipeline import console

    if arguments.root is not None and not arguments.root.is_dir():
        raise UsageError(f"runs: --root must be an existing folder. Received: {str(arguments.root)!r}.")
    roots = [arguments.root] if arguments.root is not None else sorted(Path("runs").glob("*/"))
    console.show_runs(roots, arguments.json)
    return DONE


def _stages(arguments: argparse.Namespace) -> int:
    from pipeline import console, graph

    console.show_stages(graph.stages())
    return DONE


def _configs(arguments: argparse.Namespace) -> int:
    from pipeline import console

    console.show_recipes(sorted(RECIPES.glob("*.yaml")))
    return DONE


def _lab(arguments: argparse.Namespace) -> int:
    from components.lab import catalogue
    from pipeline import console

    if arguments.list:
        console.show_demonstrations(catalogue.STANDARD, catalogue.LONG)
        return DONE
    _check_backend()
    catalogue.check(arguments.names)
    if not 0 <= arguments.seed < 2**31:
        raise UsageError(f"lab: --seed must be >= 0 and below 2^31. Received: {arguments.seed}.")
    if arguments.output.exists() and not arguments.output.is_dir():
        raise UsageError(f"lab: --output must be a folder. Received: {str(arguments.output)!r}, a file.")
    from components.lab.run import run

    run(arguments.names, arguments.output, arguments.seed, console.say)
    return DONE


def _recipe(name: str) -> Path:
    """Returns the path itself, or the recipe of that name in configs/."""
    path = Path(name)
    if path.is_file() or "/" in name:
        return path
    recipe = RECIPES / f"{path.stem if path.suffix in ('.yaml', '.yml') else name}.yaml"
    if recipe.is_file() and not path.suffix:
        return recipe
    known = sorted(file.stem for file in RECIPES.glob("*.yaml"))
    raise UsageError(
        f"Config: --config must be a file, or the name of a recipe. Received: {name!r}."
        f"{did_you_mean(recipe.stem, known)} Recipes: {', '.join(known)}."
    )


def _key_path(text: str) -> tuple[str, Path]:
    key, equals, path = text.partition("=")
    if not (key and equals and path):
        raise UsageError(
            f"--input must be KEY=PATH. Received: {text!r}. Example: --input model=runs/hello/trainer/3/model"
        )
    return key, Path(path)


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

    def command(name: str, function: object, text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.set_defaults(command=function)
        added.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return added

    run = command("run", _run, "Run the pipeline; what is unchanged since an earlier run is not done again.")
    _add_config(run)
    run.add_argument("--from", dest="from_stage", metavar="S", help="first stage to run; earlier outputs are reused")
    run.add_argument("--to", dest="to_stage", metavar="S", help="last stage to run")
    run.add_argument("--force", action="append", default=[], metavar="S", help="run S even if unchanged (repeatable)")
    run.set_defaults(one_stage=False)

    stage = command("stage", _run, "Run one stage; inputs that are not given are the newest ones in the root.")
    stage.add_argument("name", metavar="NAME", help="a name from the command `stages`")
    _add_config(stage)
    stage.add_argument("--input", action="append", default=[], metavar="KEY=PATH", help="an input folder (repeatable)")
    stage.set_defaults(one_stage=True)

    model_commands.add(command)
    rollback.add(command)

    runs = command("runs", _runs, "List the runs of a root, or of every folder in runs/.")
    runs.add_argument("--root", type=folder, metavar="DIR", help="root folder (default: all of runs/*)")
    runs.add_argument("--json", action="store_true", help="print one JSON object")

    lab = command("lab", _lab, "Measure and draw the lecture's demonstrations of gradients on the real layer.")
    lab.add_argument("names", nargs="*", metavar="NAME", help="which ones, see --list (default: all short ones)")
    lab.add_argument("--list", action="store_true", help="list the demonstrations and do nothing else")
    lab.add_argument("--output", type=folder, default=Path("runs/lab"), metavar="DIR", help="default: runs/lab")
    lab.add_argument("--seed", type=int, default=0, metavar="S", help="seed of everything drawn (default: 0)")

    command("stages", _stages, "List the stages: name, inputs → outputs, what each does.")
    command("configs", _configs, "List the recipes that --config knows by name.")
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default="quickstart", metavar="F", help="YAML file or recipe (default: quickstart)")
    parser.add_argument("--root", type=folder, metavar="DIR", help="root folder (default: runs/<pipeline.name>)")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=VALUE", help="override a key (repeatable)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")
