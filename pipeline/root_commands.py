"""The commands that look into the root folders of earlier runs: runs, gc, lineage."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.commands import DONE, AddCommand, folder
from pipeline.errors import UsageError


def add(command: AddCommand) -> None:
    """Adds the commands to the parser."""
    runs = command(
        "runs", _runs, "List the runs of a root, or of every folder in runs/.", "runs", "runs --root runs/hello"
    )
    runs.add_argument("--root", type=folder, metavar="DIR", help="root folder (default: all of runs/*)")
    runs.add_argument("--json", action="store_true", help="print one JSON object")

    gc = command(
        "gc",
        _gc,
        "List what old executions of a root take up; with --delete, remove it.",
        "gc --root runs/hello",
        "gc --root runs/hello --keep 1 --delete",
    )
    gc.add_argument("--root", type=folder, required=True, metavar="DIR", help="root folder")
    gc.add_argument("--keep", type=int, default=3, metavar="N", help="newest executions of each stage (default: 3)")
    gc.add_argument("--delete", action="store_true", help="remove it, rather than list it")
    gc.add_argument("--json", action="store_true", help="print one JSON object")

    lineage = command(
        "lineage",
        _lineage,
        "Tell what made an artifact, back to the corpus, and what it was used in.",
        "lineage runs/hello/serving/hello/1",
        "lineage runs/hello/trainer/6/model --mermaid",
        "lineage /srv/models/hello/1 --root runs/hello",
    )
    lineage.add_argument("path", type=folder, metavar="PATH", help="an artifact, an execution or a pushed version")
    lineage.add_argument("--root", type=folder, metavar="DIR", help="the root, of a version that was pushed elsewhere")
    form = lineage.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="print one JSON object")
    form.add_argument("--mermaid", dest="form", action="store_const", const="mermaid", help="print a graph for Mermaid")
    lineage.set_defaults(form="text")


def _runs(arguments: argparse.Namespace) -> int:
    from pipeline import console

    if arguments.root is not None and not arguments.root.is_dir():
        raise UsageError(f"runs: --root must be an existing folder. Received: {str(arguments.root)!r}.")
    roots = [arguments.root] if arguments.root is not None else sorted(Path("runs").glob("*/"))
    console.show_runs(roots, arguments.json)
    return DONE


def _gc(arguments: argparse.Namespace) -> int:
    from pipeline import console
    from pipeline.collect import collect

    if arguments.keep < 1:
        raise UsageError(f"gc: --keep must be > 0. Received: {arguments.keep}.")
    garbage = collect(arguments.root, arguments.keep, arguments.delete)
    console.show_garbage(garbage, arguments.root.resolve(), arguments.delete, arguments.json)
    return DONE


def _lineage(arguments: argparse.Namespace) -> int:
    from pipeline import console, lineage_text
    from pipeline.lineage import trace

    traced = trace(arguments.path, arguments.root)
    if traced is None:
        raise UsageError(
            "lineage: PATH must be an artifact, <root>/<stage>/<number>/<key>, an execution or a pushed version. "
            f"Received: {str(arguments.path)!r}, which no execution made."
        )
    forms = {"json": lineage_text.as_json, "mermaid": lineage_text.as_mermaid, "text": lineage_text.as_text}
    console.say(forms[arguments.form](traced))
    return DONE
