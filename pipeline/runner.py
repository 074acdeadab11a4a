"""The local runner: which stages of a graph run, in which order, on which inputs."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import shutil
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline import graph
from pipeline.attempt import UNFORGOTTEN, execution_folders, execution_of
from pipeline.config import Config
from pipeline.decision import FIRST_TIME, damaged, decide
from pipeline.errors import UsageError, did_you_mean
from pipeline.files import TEMPORARY, digest_folder
from pipeline.fingerprint import ingredients
from pipeline.locks import remove_stale
from pipeline.metadata import FILE_NAME, Execution, MetadataStore, StoredArtifact, StoreError, paths_of
from pipeline.session import Listener, Session
from pipeline.stage import Stage
from pipeline.summary import RunSummary, StageResult


def run(
    stages: Sequence[type[Stage]],
    config: Config,
    root: Path,
    *,
    from_stage: str | None = None,
    to_stage: str | None = None,
    force: Collection[str] = (),
    on_event: Listener = lambda result: None,
    config_path: str = "",
) -> RunSummary:
    """Runs the pipeline; what an earlier run did with the same fingerprint is not done again.

    Args:
        stages: In topological order.
        config: The whole configuration.
        root: Root folder; created when missing.
        from_stage: Stages before it do not run: their newest outputs are used, whatever made them.
        to_stage: Stages after it do not run.
        force: Stages that run even if nothing changed.
        on_event: Called with each stage's result, and before that with status `running` if it does run.
        config_path: Where the configuration came from, for the lineage store.

    Returns:
        What happened. A failing stage raises nothing here: its exception is in the summary.

    Raises:
        UsageError: A stage name is unknown, the root cannot be written, or `from_stage` lacks earlier outputs.
    """
    first, last = _span(stages, from_stage, to_stage, force)
    with _open(root, on_event) as store:
        earlier = _earlier(stages, first, last, store, f"--from {from_stage}")
        config = _configured(stages[:first], config, store, f"--from {from_stage}")
        with contextlib.closing(Session(config, store, on_event, config_path)) as session:
            for position, stage in enumerate(stages):
                if position < first:
                    session.skip(stage.stage_name(), earlier[stage.stage_name()])
                elif position > last or session.over:
                    session.skip(stage.stage_name())
                else:
                    inputs = {key: session.artifacts[key] for key in stage.inputs}
                    session.run(stage, inputs, force, _ahead(stages[position : last + 1], session.artifacts))
            return session.finish()


def _ahead(stages: Sequence[type[Stage]], there: Collection[str]) -> Iterator[type[Stage]]:
    """Those that could begin beside the first: what they read is there, and how they are configured is known."""
    for before, stage in itertools.pairwise(stages):
        if before.configures:
            return
        if stage.ahead and all(key in there for key in stage.inputs):
            yield stage


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What `run` would do with a stage now.

    Attributes:
        name: Its name.
        runs: Whether it would run.
        reason: Why, or why not.
    """

    name: str
    runs: bool
    reason: str


def explain(
    stages: Sequence[type[Stage]],
    config: Config,
    root: Path,
    *,
    from_stage: str | None = None,
    to_stage: str | None = None,
    force: Collection[str] = (),
) -> list[Explanation]:
    """Says for each stage whether `run` with the same arguments would run it, and why; nothing is run.

    Raises:
        UsageError: A stage name is unknown, or `from_stage` lacks earlier outputs.
    """
    first, last = _span(stages, from_stage, to_stage, force)
    producers, root = graph.producers(stages), root.resolve()
    known: dict[str, str] = {}  # output key → digest, of what is there already
    tuned = False
    explanations = []
    with MetadataStore(root, read_only=True) if (root / FILE_NAME).is_file() else contextlib.nullcontext() as store:
        _earlier(stages, first, last, store, f"--from {from_stage}")
        for position, stage_class in enumerate(stages):
            name = stage_class.stage_name()
            newest = store.newest_execution(name) if store is not None else None
            if not first <= position <= last:
                explanations.append(Explanation(name, False, "not asked for"))
                known |= {key: artifact.digest for key, artifact in newest.outputs.items()} if newest else {}
                continue
            anew = [key for key in stage_class.inputs if key not in known]
            before = newest.properties.get("inputs", {}) if newest else {}
            # An input that is not there yet is taken for what it was, so that only other changes are found.
            digests = {key: known.get(key) or before.get(key, "") for key in stage_class.inputs}
            stage = stage_class.from_config(config)
            decision = decide(stage, ingredients(stage, digests, root), store, root, name in force)
            reasons = [decision.reason] if decision.reason else []
            if decision.reason != FIRST_TIME:
                makers = dict.fromkeys(producers[key].stage_name() for key in anew)
                reasons += [f"{', '.join(anew)} made anew by {', '.join(makers)}"] if anew else []
                reasons += ["its settings are the Tuner's to find"] if tuned else []
            runs = bool(reasons)
            explanations.append(Explanation(name, runs, "; ".join(reasons) or "unchanged"))
            if not runs and decision.execution is not None:
                known |= {key: artifact.digest for key, artifact in decision.execution.outputs.items()}
            tuned = tuned or (runs and stage.configures)
    return explanations


def run_stage(
    stages: Sequence[type[Stage]],
    config: Config,
    root: Path,
    *,
    name: str,
    inputs: Mapping[str, Path] | None = None,
    outputs: Mapping[str, Path] | None = None,
    on_event: Listener = lambda result: None,
    config_path: str = "",
) -> RunSummary:
    """Runs one stage on given folders; an input that is not given is the newest output of its key in the root.

    Args:
        inputs: Key → folder, of the stage's own inputs and of those that make its configuration (`graph.inputs_of`).
        outputs: Key → folder that gets a copy of the output, whether the stage ran or an earlier execution will do.

    Raises:
        UsageError: As `run`; a key is unknown, the folder of an input is missing, or that of an output is in use.
    """
    given, wanted = dict(inputs or {}), dict(outputs or {})
    names = [stage.stage_name() for stage in stages]
    stage = stages[_position(name, names, "NAME")]
    producers = graph.producers(stages)
    known = graph.inputs_of(stage, stages)
    _check_keys(given, known, name, "input")
    _check_keys(wanted, stage.outputs, name, "output")
    for key, path in given.items():
        if not path.is_dir():
            raise UsageError(f"Runner: --input must be an existing folder. Received: {key}={str(path)!r}.")
    with _open(root, on_event) as store:
        needed = {
            key: _require(store.newest_execution(producers[key].stage_name()), key, producers[key], f"stage {name}")
            for key in stage.inputs
            if key not in given
        }
        _check_lineage(needed, f"stage {name}")
        config = _configured(stages[: names.index(name)], config, store, f"stage {name}", given)
        artifacts = {key: execution.outputs[key] for key, execution in needed.items()}
        for key, path in given.items():
            if key in stage.inputs:
                artifacts[key] = StoredArtifact(stage.inputs[key].__name__, path.resolve(), digest_folder(path))
        session = Session(config, store, on_event, config_path)
        session.run(stage, artifacts)
        for key, path in wanted.items():
            if key in session.artifacts:
                _copy(session.artifacts[key].path, path)
        return session.finish()


def _span(
    stages: Sequence[type[Stage]], from_stage: str | None, to_stage: str | None, force: Collection[str]
) -> tuple[int, int]:
    """Positions of the first and the last stage that may run."""
    names = [stage.stage_name() for stage in stages]
    first = _position(from_stage, names, "--from") if from_stage else 0
    last = _position(to_stage, names, "--to") if to_stage else len(names) - 1
    if last < first:
        raise UsageError(f"Runner: --to must not come before --from. Received: --from {from_stage} --to {to_stage}.")
    for name in force:
        if not first <= _position(name, names, "--force") <= last:
            raise UsageError(
                f"Runner: --force must name a stage that may run. Received: {name!r}, with --from {names[first]} and "
                f"--to {names[last]}. Leave it out, or let the run begin earlier or end later."
            )
    return first, last


def _earlier(
    stages: Sequence[type[Stage]], first: int, last: int, store: MetadataStore | None, what: str
) -> dict[str, Execution | None]:
    """The newest execution of each stage before the first that may run; what is needed of them is there, and fits."""
    producers = graph.producers(stages)
    names = [stage.stage_name() for stage in stages[:first]]
    earlier = {name: store.newest_execution(name) if store is not None else None for name in names}
    keys = {key for stage in stages[first : last + 1] for key in stage.inputs if producers[key].stage_name() in earlier}
    needed = {key: _require(earlier[producers[key].stage_name()], key, producers[key], what) for key in sorted(keys)}
    _check_lineage(needed, what)
    return earlier


def _check_keys(given: Mapping[str, Path], known: Collection[str], name: str, what: str) -> None:
    for key, path in given.items():
        if key not in known:
            raise UsageError(
                f"Runner: --{what} must name an {what} of {name}. Received: {key}={str(path)!r}."
                f"{did_you_mean(key, known)} {what.capitalize()}s of {name}: {', '.join(known) or 'none'}."
            )


def _copy(artifact: Path, folder: Path) -> None:
    """Copies an output out of the root, over what an attempt that was cut off left there, and over nothing else."""
    others = {path.relative_to(folder) for path in folder.rglob("*")}
    if others - {path.relative_to(artifact) for path in artifact.rglob("*")}:
        raise UsageError(
            f"Runner: the folder of an --output must hold nothing else. Received: {str(folder)!r}. Empty it, or name "
            "another; the stage is done and need not run again."
        )
    shutil.copytree(artifact, folder, dirs_exist_ok=True)


def _position(name: str, names: Sequence[str], what: str) -> int:
    if name not in names:
        raise UsageError(
            f"Runner: {what} must be a stage. Received: {name!r}.{did_you_mean(name, names)} "
            f"Stages: {', '.join(names)}."
        )
    return names.index(name)


def _require(previous: Execution | None, key: str, producer: type[Stage], what: str) -> Execution:
    name = producer.stage_name()
    if previous is None or key not in previous.outputs:
        raise UsageError(f"Runner: {what} needs {key!r}, which {name} makes and has not made here. Run {name} first.")
    for broken in damaged(previous):
        raise UsageError(
            f"Runner: {what} needs {broken!r}, whose folder is gone or changed. Received: "
            f"{str(previous.outputs[broken].path)!r}. Run {name} again."
        )
    return previous


def _configured(
    earlier: Sequence[type[Stage]],
    config: Config,
    store: MetadataStore,
    what: str,
    given: Mapping[str, Path] | None = None,
) -> Config:
    """What the earlier stages make of a configuration: with their outputs as given, or as they last wrote them."""
    for stage in earlier:
        if stage.configures:
            paths = {key: path for key, path in (given or {}).items() if key in stage.outputs}
            if len(paths) < len(stage.outputs):
                key = next(iter(stage.outputs))
                execution = _require(store.newest_execution(stage.stage_name()), key, stage, what)
                paths = paths_of(execution.outputs) | paths
            config = stage.from_config(config).configured(config, paths)
    return config


def _check_lineage(needed: Mapping[str, Execution], what: str) -> None:
    """Refuses outputs of earlier runs that were not made from each other, such as a model and another's vocabulary,
    or from different inputs, such as an export and another model's blessing."""
    known = {
        key: (artifact.digest, f"that of {execution.stage} {execution.id}")
        for key, execution in needed.items()
        for artifact in [execution.outputs[key]]
    }
    for execution in sorted(needed.values(), key=lambda one: one.id):
        for key, artifact in execution.inputs.items():
            digest, whose = known.setdefault(key, (artifact.digest, f"{execution.stage} {execution.id}"))
            if digest != artifact.digest:
                raise UsageError(
                    f"Runner: {what} needs outputs that belong together. Received: {execution.stage} {execution.id}, "
                    f"which was made from another {key!r} than {whose}. "
                    f"Run {execution.stage} again, or start from an earlier stage."
                )


def _open(root: Path, on_event: Listener) -> MetadataStore:
    """Makes sure that the root can be written, opens the store, and removes what dead processes left."""
    try:
        root = root.resolve()
        root.mkdir(parents=True, exist_ok=True)
        store = MetadataStore(root)  # makes a lock of its own in it
    except (OSError, sqlite3.OperationalError, StoreError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"Runner: --root must be a folder that can be written ({reason}). Received: {str(root)!r}."
        ) from error
    try:
        _sweep(root, store, on_event)
    except BaseException:
        store.close()
        raise
    return store


def _sweep(root: Path, store: MetadataStore, on_event: Listener) -> None:
    """Removes what executions left that never completed and no longer run, and tells of it."""
    for stage, dead in store.fail_dead():
        reason = f"execution {dead} ended without a word; what it left is removed"
        on_event(StageResult(stage, "repaired", reason=reason))
    # The folders first: whoever made one of these is in the store before that.
    folders = list((root / TEMPORARY).iterdir())
    running, complete = store.execution_ids("running"), store.execution_ids("complete")
    failed = store.execution_ids("failed", "not_blessed")
    for path in folders:
        if path.suffix == ".lock":
            remove_stale(path)
        elif execution_of(path) not in (running | complete if path.suffix == UNFORGOTTEN else running):
            _remove(path)
    for folder in execution_folders(root):  # killed between the rename and the registration
        if int(folder.name) in failed:
            # Renamed first: half a folder would not be found by the next one that has to do this.
            aside = root / TEMPORARY / f"{os.getpid()}-{folder.parent.name}-{folder.name}"
            with contextlib.suppress(OSError):  # another run was quicker
                folder.rename(aside)
            _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
