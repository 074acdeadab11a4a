"""What commands share: exit codes, how an error is told, arguments that several take."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sqlite3
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.completion import completed
from pipeline.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from pipeline.session import Listener
    from pipeline.summary import RunSummary

RECIPES = Path(__file__).resolve().parents[1] / "configs"
DONE, STAGE_FAILED, BAD_USAGE, NOT_BLESSED = 0, 1, 2, 3
AddCommand = Callable[..., argparse.ArgumentParser]  # name, function, text, examples


def report(error: Exception, debug: bool) -> int:
    """Prints an error as one readable message and returns its exit code."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, sqlite3.OperationalError):
        error = UsageError(
            f"The lineage store metadata.sqlite cannot be used ({error}). If another process is at it, try again when "
            "that is done; otherwise look at the file's permissions and at the disk."
        )
    elif isinstance(error, sqlite3.DatabaseError):
        error = UsageError(f"The lineage store metadata.sqlite is damaged ({error}). Move it away to start anew.")
    # The messages of these are sentences; of others (KeyError: 'x') the name says more than the text.
    sentence = isinstance(error, ValueError | RuntimeError | ArithmeticError) and str(error)
    text = str(error) if sentence else f"{type(error).__name__}: {error}".removesuffix(": ")
    sys.stderr.write(f"error: {text}\n")
    return BAD_USAGE if isinstance(error, UsageError) else STAGE_FAILED


def reported(start: Callable[..., RunSummary], debug: bool, on_event: Listener) -> RunSummary:
    """Runs, and writes the report of the run. What goes wrong with that is told, and changes nothing of the run."""
    summary = start(on_event=on_event)
    try:
        from components.report.report import write_report

        return dataclasses.replace(summary, report=write_report(summary))
    except Exception as error:
        report(RuntimeError(f"Report: it could not be written ({type(error).__name__}: {error})."), debug)
        return summary


def folder(text: str) -> Path:
    """The type of an option that names a folder."""
    if not text:  # Path("") would be the current folder
        raise argparse.ArgumentTypeError("must not be empty")
    return Path(text)


def recipe(name: str) -> Path:
    """Returns the path itself, or the recipe of that name in configs/."""
    path = Path(name)
    if path.is_file() or "/" in name:
        return path
    file = RECIPES / f"{path.stem if path.suffix in ('.yaml', '.yml') else name}.yaml"
    if file.is_file() and not path.suffix:
        return file
    known = [file.stem for file in known_recipes()]
    raise UsageError(
        f"Config: --config must be a file, or the name of a recipe. Received: {name!r}."
        f"{did_you_mean(file.stem, known)} Recipes: {', '.join(known)}."
    )


def known_recipes() -> list[Path]:
    """The recipes of configs/, by name."""
    return sorted(RECIPES.glob("*.yaml"))


def check_backend() -> None:
    """Refuses a KERAS_BACKEND that is not one of ours."""
    backend = os.environ["KERAS_BACKEND"]
    if backend not in ("tensorflow", "jax"):
        raise UsageError(
            f"The environment variable KERAS_BACKEND must be tensorflow or jax. Received: {backend!r}."
            f"{did_you_mean(backend, ('tensorflow', 'jax'))}"
        )


def add_config(parser: argparse.ArgumentParser) -> None:
    """Adds --config and --set."""
    text = "YAML file or recipe (default: quickstart)"
    completed(parser.add_argument("--config", default="quickstart", metavar="F", help=text), "configs")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=VALUE", help="override a key (repeatable)")
