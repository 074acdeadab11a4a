"""One run in progress: what runs, what is reused, what has begun before its turn, and what came of it."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.apart import Apart
from pipeline.attempt import UNFORGOTTEN, Attempt, execution_of
from pipeline.config import Config
from pipeline.decision import Decision, damaged, decide
from pipeline.errors import NotBlessed, Refused
from pipeline.files import TEMPORARY, size_of
from pipeline.fingerprint import hash_ingredients, ingredients
from pipeline.locks import locked, locked_if_free
from pipeline.metadata import Execution, MetadataStore, StoredArtifact, StoreError, paths_of
from pipeline.stage import Stage
from pipeline.summary import RunSummary, StageResult

Listener = Callable[[StageResult], None]
# Bytes of its inputs from which a stage may begin ahead: a process of its own has to import Beam first.
_WORTH_A_PROCESS = 32 << 20


@dataclasses.dataclass(frozen=True)
class _Begun:
    """A stage at work before its turn."""

    attempt: Attempt
    apart: Apart
    reason: str
    lock: contextlib.ExitStack


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
        self._begun: dict[str, _Begun] = {}
        self._looked_at: set[str] = set()  # whether they should begin before their turn
        self._clock = time.perf_counter()
        self._run_id = store.start_run(config_path, config.model_dump(mode="json"))

    def skip(self, name: str, previous: Execution | None = None) -> None:
        """Uses the outputs of an earlier execution, if given, without running the stage."""
        self._record(name, "skipped", 0.0, previous if previous is not None and not damaged(previous) else None)

    def run(
        self,
        stage_class: type[Stage],
        inputs: Mapping[str, StoredArtifact],
        force: Collection[str] = (),
        ahead: Iterable[type[Stage]] = (),
    ) -> None:
        """Runs a stage, or finds that an execution of the same fingerprint will do.

        Args:
            stage_class: The stage.
            inputs: What it reads.
            force: Names of the stages that run whatever is found.
            ahead: Later stages whose inputs are in `artifacts`: they may begin if this one runs.
        """
        name, clock = stage_class.stage_name(), time.perf_counter()
        execution, reason = None, ""
        try:
            stage = stage_class.from_config(self._config)
            begun = self._begun.pop(name, None)
            if begun is None:
                execution, reason = self._find_or_execute(stage, inputs, force, ahead)
            else:
                with begun.lock:
                    execution, reason = self._complete(begun.attempt, begun.apart), begun.reason
                clock = time.perf_counter() - execution.seconds
            paths = paths_of(execution.outputs)
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

    def close(self) -> None:
        """Ends what has begun before its turn and was not waited for."""
        while self._begun:
            _, begun = self._begun.popitem()
            with begun.lock:
                begun.apart.end()
                begun.attempt.give_up(RuntimeError("Runner: the run ended before it was the turn of this stage."))

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
        self._results.append(StageResult(name, status, seconds, paths_of(outputs), execution_id, reason))
        self._on_event(self._results[-1])

    def _find_or_execute(
        self,
        stage: Stage,
        inputs: Mapping[str, StoredArtifact],
        force: Collection[str],
        ahead: Iterable[type[Stage]],
    ) -> tuple[Execution, str]:
        """Returns the execution that stands in for a new one, or a new one and why there is one."""
        name = stage.stage_name()
        parts = self._ingredients(stage, inputs)
        waiting = StageResult(name, "running", reason="another run is at it; waiting")
        with locked(self._lock_of(name, parts), on_wait=lambda: self._on_event(waiting)):
            decision = self._decide(stage, parts, name in force)
            if decision.execution is not None:
                return decision.execution, ""
            self._on_event(StageResult(name, "running", reason=decision.reason))
            for later in ahead:
                # What is wrong with a later stage is no failure of this one, and comes again at its turn.
                with contextlib.suppress(Exception):
                    self._begin(later, name, force)
            return self._complete(Attempt.start(self._store, stage, parts, inputs)), decision.reason

    def _complete(self, attempt: Attempt, apart: Apart | None = None) -> Execution:
        self._failed_log = attempt.log  # until it is complete
        execution = attempt.complete(apart)
        self._failed_log = None
        return execution

    def _begin(self, stage_class: type[Stage], beside: str, force: Collection[str]) -> None:
        """Begins a stage before its turn, if it has to run and has much to read."""
        name = stage_class.stage_name()
        inputs = {key: self.artifacts[key] for key in stage_class.inputs}
        if name in self._looked_at:
            return
        self._looked_at.add(name)
        if sum(size_of(artifact.path) for artifact in inputs.values()) < _WORTH_A_PROCESS:
            return
        stage = stage_class.from_config(self._config)
        parts = self._ingredients(stage, inputs)
        with contextlib.ExitStack() as stack:
            # Not waited for: another run that has it may be waiting for what this one holds.
            if not stack.enter_context(locked_if_free(self._lock_of(name, parts))):
                return
            decision = self._decide(stage, parts, name in force)
            if decision.execution is not None:
                return
            self._on_event(StageResult(name, "running", reason=f"{decision.reason}; beside {beside}"))
            attempt = Attempt.start(self._store, stage, parts, inputs)
            self._begun[name] = _Begun(attempt, attempt.run_apart(), decision.reason, stack.pop_all())

    def _ingredients(self, stage: Stage, inputs: Mapping[str, StoredArtifact]) -> dict[str, Any]:
        return ingredients(stage, {key: artifact.digest for key, artifact in inputs.items()}, self._root)

    def _lock_of(self, name: str, parts: Mapping[str, Any]) -> Path:
        # Of two runs that want the same, one does it and the other waits, and finds it.
        return self._root / TEMPORARY / f"{name}-{hash_ingredients(parts)[:32]}.lock"

    def _decide(self, stage: Stage, parts: Mapping[str, Any], forced: bool) -> Decision:
        self._forget_completed(stage)
        decision = decide(stage, parts, self._store, self._root, forced)
        if forced:
            stage.forget(self._root)
        return decision

    def _forget_completed(self, stage: Stage) -> None:
        """Does what a process was killed before: what a complete execution went on from must stop no other one."""
        complete = self._store.execution_ids("complete")
        for left in (self._root / TEMPORARY).glob(f"*-{stage.stage_name()}-*{UNFORGOTTEN}"):
            if execution_of(left) in complete:
                stage.forget(self._root)
                left.unlink(missing_ok=True)
