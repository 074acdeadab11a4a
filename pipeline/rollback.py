"""The command `rollback`: a former version of a pushed model becomes the newest one, the served one is withdrawn."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands import AddCommand, folder, reported
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from components.push_history import Push
    from components.pusher.stage import Pusher
    from pipeline.config import Config


def add(command: AddCommand) -> None:
    """Adds the command to the parser."""
    text = "Serve a former version again, as the newest; the Pusher does not push the withdrawn model any more."
    rollback = command(
        "rollback",
        _rollback,
        text,
        "rollback --model runs/quickstart/serving/quickstart",
        "rollback --root runs/quickstart --to 2",
    )
    which = rollback.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", type=folder, metavar="DIR", help="<root>/serving/<name>, which a server watches")
    which.add_argument("--root", type=folder, metavar="DIR", help="the root folder, wherever it pushes to")
    rollback.add_argument("--to", type=int, metavar="VERSION", help="default: the one before, of another model")
    rollback.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")


def _rollback(arguments: argparse.Namespace) -> int:
    from components.pusher.stage import Pusher, Rollback
    from pipeline import console, graph, runner

    root, config = _root_and_config(arguments)
    pusher = Pusher.from_config(config)
    target, source = _former(pusher, root, arguments.to)
    stages = tuple(Rollback if stage is Pusher else stage for stage in graph.stages(config))
    start = functools.partial(
        runner.run_stage,
        stages,
        config,
        root,
        name=Pusher.stage_name(),
        inputs={"exported_model": source},
        config_path=f"rollback to version {target.version}",
    )
    start = functools.partial(reported, start, arguments.debug)
    summary = console.show_run(start, f"{config.pipeline.name}: back to version {target.version}", arguments.json)
    if summary.exception is not None:
        raise summary.exception
    return 0


def _root_and_config(arguments: argparse.Namespace) -> tuple[Path, Config]:
    """The root folder, and the configuration of its last run, with the name and destination that are meant."""
    from pipeline.config_file import validate
    from pipeline.metadata import FILE_NAME, MetadataStore

    root: Path = (arguments.root or arguments.model.resolve().parent.parent).resolve()
    if not (root / FILE_NAME).is_file():
        raise UsageError(
            f"rollback: a root must hold {FILE_NAME}, which knows what was pushed. Received: {str(root)!r}. Name the "
            "root of the runs that pushed the model with --root."
        )
    with MetadataStore(root, read_only=True) as store:
        values = store.newest_config()
    if values is None:
        raise UsageError(f"rollback: a root must have had a run. Received: {str(root)!r}. Run the pipeline first.")
    if arguments.model is not None:
        values["pipeline"]["name"], values["pusher"]["destination"] = arguments.model.resolve().name, None
    return root, validate(values)


def _former(pusher: Pusher, root: Path, wanted: int | None) -> tuple[Push, Path]:
    """The push to go back to, and a folder that holds what was pushed."""
    from components.push_history import pushes, withdrawn_models
    from pipeline.files import digest_folder
    from pipeline.lineage import trace

    versions = pusher.versions(root)
    newest = max(versions.numbers(), default=0)
    here = {
        push.version: (artifact, push)
        for artifact, push in pushes(root)
        if str(root / push.destination) == str(root / versions.path(push.version))
    }
    where = versions.path(newest).rpartition("/")[0]
    if newest not in here:
        raise UsageError(
            f"rollback: the newest version must be one that this root pushed. Received: {newest or 'none'} in {where}."
        )
    now = here[newest][1]
    gone = withdrawn_models(root)
    former = [
        v for v in sorted(here) if v < newest and here[v][1].digest != now.digest and here[v][1].model not in gone
    ]
    chosen = wanted if wanted is not None else max(former, default=None)
    if chosen is None or chosen not in here or here[chosen][1].digest == now.digest:
        known = ", ".join(f"{v}" for v in sorted(here) if here[v][1].digest != now.digest) or "none"
        raise UsageError(
            f"rollback: there must be a version of another model than the served one, {newest}. Received: "
            f"{'none before it' if wanted is None else f'--to {wanted}'} in {where}. Those that differ: {known}."
        )
    artifact, push = here[chosen]
    traced = trace(artifact)
    exported = (
        [one.outputs["exported_model"].path for one in traced.before if "exported_model" in one.outputs]
        if traced
        else []
    )
    sources = [*exported, Path(versions.path(chosen))]
    for source in sources:
        if source.is_dir() and digest_folder(source) == push.digest:
            return push, source
    raise UsageError(
        f"rollback: the bytes of version {chosen} must still be there. Received: {', '.join(map(str, sources))}, gone "
        "or changed. Train the model again."
    )
