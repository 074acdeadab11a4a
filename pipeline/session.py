"""One run in progress: runs or reuses each stage, keeps its outputs whole or absent, and remembers what happened."""

from __future__ import annotations

import contextlib
import errno
import importlib.metadata
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.decision import damaged, decide
from pipeline.errors import NotBlessed, Refused
from pipeline.files import EXECUTION, TEMPORARY, digest_folder, sync_folder
from pipeline.fingerprint import hash_ingredients, ingredients
from pipeline.locks import locked
from pipeline.metadata import Execution, MetadataStore, StoredArtifact, StoreError
from pipeline.stage import Stage
from pipeline.stage_log import kept, log_of
from pipeline.summary import RunSummary, StageResult

Listener = Callable[[StageResult], None]
# Ends the name of a file in .tmp: this execution is complete, or about to be, and `Stage.forget` was not called yet.
UNFORGOTTEN = ".unforgotten"
_LIBRARIES = ("tensorflow", "keras", "jax", "numpy", "apache-beam")  # whose versions lineage tells


class Session:
    """One run in progress: what each stage came to, and the artifacts so far.

    Attributes:
        artifacts: Output key → the artifact that later stages read.
        over: A stage failed, or refused the model or what it found, so nothing more runs.
    """

    def __init__(self, config: Config, store: MetadataStore, on_event: Listener, config_path: str) -> None:
        self.artifacts: dict[str, StoredArtifact] = {}
        self.over = False
        self._config = config
        self._store = store
        self._root = store.root
        self._on_event = on_event
        self._results: list[StageResult] = []
        self._status = "succeeded"
        self._reasons: list[str] = []
        self._exception: Exception | None = None
        self._failed_log: Path | None = None
        self._clock = time.perf_counter()
        self._run_id = store.start_run(config_path, config.model_dump(mode="json"))

    def skip(self, name: str, previous: Execution | None = None) -> None:
        """Uses the outputs of an earlier execution, if given, without running the stage."""
        self._record(name, "skipped", 0.0, previous if previous is not None and not damaged(previous) else None)

    def run(self, stage_class: type[Stage], inputs: Mapping[str, StoredArtifact], forced: bool) -> None:
        """Runs a stage, or finds that an execution of the same fingerprint will do."""
        name, clock = stage_class.stage_name(), time.perf_counter()
        execution, reason = None, ""
        try:
            stage = stage_class.from_config(self._config)
            execution, reason = self._find_or_execute(stage, inputs, forced)
            paths = {key: artifact.path for key, artifact in execution.outputs.items()}
            reasons = stage.refusals(paths, self._root)
            if reasons:
                raise Refused(name, paths.values(), reasons)
            self._config = stage.configured(self._config, paths)
        except NotBlessed as error:
            self.over, self._status, self._reasons = True, "not_blessed", error.reasons
            self._record(name, "skipped", time.perf_counter() - clock)
        except Exception as error:
            self.over, self._status, self._exception = True, "failed", error
            # A refusal comes after the work: what the stage wrote is whole, and stays.
            try:
                self._record(name, "failed", time.perf_counter() - clock, execution)
            except StoreError:
                raise error from None  # a store that cannot be written must not hide what was the matter before
        except BaseException:  # the user's Ctrl-C, above all
            self._record(name, "failed", time.perf_counter() - clock)
            self._store.finish_run(self._run_id, "failed", time.perf_counter() - self._clock)
            raise
        else:
            self._record(name, "ran" if reason else "cached", time.perf_counter() - clock, execution, reason)

    def finish(self) -> RunSummary:
        """Closes the run. One that ended before the stage that asks for the blessings is judged by them, too."""
        if self._status == "succeeded":
            self._reasons = self._refusals()
            self._status = "not_blessed" if self._reasons else "succeeded"
        self._store.finish_run(self._run_id, self._status, time.perf_counter() - self._clock)
        results = tuple(self._results)
        reasons = tuple(self._reasons)
        return RunSummary(self._status, self._run_id, self._root, results, reasons, self._exception, self._failed_log)

    def _refusals(self) -> list[str]:
        reasons = []
        for artifact in self.artifacts.values():
            for file in artifact.path.glob("*NOT_BLESSED"):
                reasons += file.read_text("utf-8").splitlines() or [f"{file.name} without a reason."]
        return reasons

    def _record(
        self, name: str, status: str, seconds: float, execution: Execution | None = None, reason: str = ""
    ) -> None:
        outputs = execution.outputs if execution else {}
        self.artifacts.update(outputs)
        execution_id = execution.id if execution else None
        self._store.record_stage(self._run_id, len(self._results), name, status, seconds, execution_id)
        paths = {key: artifact.path for key, artifact in outputs.items()}
        self._results.append(StageResult(name, status, seconds, paths, execution_id, reason))
        self._on_event(self._results[-1])

    def _find_or_execute(
        self, stage: Stage, inputs: Mapping[str, StoredArtifact], forced: bool
    ) -> tuple[Execution, str]:
        """Returns the execution that stands in for a new one, or a new one and why there is one."""
        name = stage.stage_name()
        parts = ingredients(stage, {key: artifact.digest for key, artifact in inputs.items()}, self._root)
        # Of two runs that want the same, one does it and the other waits, and finds it.
        lock = self._root / TEMPORARY / f"{name}-{hash_ingredients(parts)[:32]}.lock"
        waiting = StageResult(name, "running", reason="another run is at it; waiting")
        with locked(lock, on_wait=lambda: self._on_event(waiting)):
            self._forget_completed(stage)
            decision = decide(stage, parts, self._store, self._root, forced)
            if decision.execution is not None:
                return decision.execution, ""
            self._on_event(StageResult(name, "running", reason=decision.reason))
            if forced:
                stage.forget(self._root)
            return self._execute(stage, parts, inputs), decision.reason

    def _forget_completed(self, stage: Stage) -> None:
        """Does what a process was killed before: what a complete execution went on from must stop no other one."""
        complete = self._store.execution_ids("complete")
        for left in (self._root / TEMPORARY).glob(f"*-{stage.stage_name()}-*{UNFORGOTTEN}"):
            if execution_of(left) in complete:
                stage.forget(self._root)
                left.unlink(missing_ok=True)

    def _execute(self, stage: Stage, parts: dict[str, Any], inputs: Mapping[str, StoredArtifact]) -> Execution:
        """Runs the stage in a temporary folder that one rename turns into its outputs."""
        name, started, clock = stage.stage_name(), time.time(), time.perf_counter()
        above = max((int(folder.name) for folder in execution_folders(self._root)), default=0)
        fingerprint, properties = hash_ingredients(parts), {**parts, "libraries": _versions()}
        execution_id = self._store.start_execution(name, fingerprint, properties, above)
        folder = self._root / TEMPORARY / f"{os.getpid()}-{name}-{execution_id}"
        log = log_of(self._root, name, execution_id)
        try:
            paths = {output: folder / output for output in stage.outputs}
            for path in paths.values():
                path.mkdir(parents=True)
            with kept(log):
                stage.run({key: artifact.path for key, artifact in inputs.items()}, paths, self._root)
            for output, path in paths.items():
                if not path.is_dir() or not any(path.iterdir()):
                    raise RuntimeError(
                        f"Runner: a stage must fill each output. Received: {name} left {output!r} empty."
                    )
            digests = {output: digest_folder(path) for output, path in paths.items()}
            seconds = time.perf_counter() - clock
            record = {
                "id": execution_id,
                "fingerprint": fingerprint,
                **properties,
                "outputs": digests,
                "started": started,
                "seconds": round(seconds, 3),
            }
            final = self._root / name / str(execution_id)
            _publish(folder, final, json.dumps(record, indent=2, sort_keys=True) + "\n")
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            self._failed_log = log
            self._note_failure(error, execution_id, time.perf_counter() - clock)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise RuntimeError(
                    f"Runner: {name} must have room for its outputs. Received: {error.strerror} "
                    f"({error.filename or folder}); {shutil.disk_usage(self._root).free / 1e6:,.1f} MB are free in "
                    f"{self._root} without them. "
                    "Make room; the same command goes on with what is done."
                ) from error
            raise
        outputs = {
            output: StoredArtifact(kind.__name__, final / output, digests[output])
            for output, kind in stage.outputs.items()
        }
        unforgotten = folder.with_suffix(UNFORGOTTEN)
        unforgotten.touch()
        self._store.complete_execution(execution_id, seconds, inputs, outputs)
        stage.forget(self._root)
        unforgotten.unlink(missing_ok=True)
        return Execution(execution_id, name, inputs, outputs, properties, fingerprint, started, seconds)

    def _note_failure(self, error: BaseException, execution_id: int, seconds: float) -> None:
        state = "not_blessed" if isinstance(error, NotBlessed) else "failed"
        try:
            self._store.fail_execution(execution_id, seconds, str(error) or type(error).__name__, state)
        except StoreError as unsaid:  # the next run finds it without an owner
            error.add_note(str(unsaid))


def _versions() -> dict[str, str]:
    versions = {}
    for library in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # not every backend is installed
            versions[library] = importlib.metadata.version(library)
    return versions


def _publish(folder: Path, final: Path, record: str) -> None:
    """Writes the marker last and renames the folder: its outputs appear together, or not at all."""
    with (folder / EXECUTION).open("w", encoding="utf-8") as stream:
        stream.write(record)
        stream.flush()
        os.fsync(stream.fileno())
    final.parent.mkdir(exist_ok=True)
    sync_folder(folder)
    folder.rename(final)
    sync_folder(final.parent)


def execution_of(path: Path) -> int | None:
    """Which execution something in .tmp belongs to; None for none."""
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdigit() else None


def execution_folders(root: Path) -> list[Path]:
    """Lists the folders of executions below a root, registered or not."""
    return [file.parent for file in root.glob(f"*/*/{EXECUTION}") if file.parent.name.isdigit()]
