"""The Tuner stage."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from components.trainer.resume import changes
from components.transform.bpe import trainer_version
from components.transform.stage import Transform
from components.tuner import trials
from components.tuner.trials import Trial, best_of, candidate
from components.workspace import LOCK, locked, remove
from pipeline.artifacts import Artifact, Examples, HyperParameters
from pipeline.config import Config
from pipeline.config_file import dump_config
from pipeline.files import digest_folder
from pipeline.stage import Stage
from pipeline.tuner_config import SEARCHED_SECTIONS, TunerConfig, is_integer

_TRIALS, _SETTINGS = "trials.jsonl", "settings.json"
_ONE_AT_A_TIME = "Tuner: one process at a time may search in a root"
# They say how long to search and how to save, not what a trial is.
_MAY_CHANGE = {
    "tuner.trials",
    "trainer.save_every_steps",
    "trainer.save_every_seconds",
    "trainer.keep_checkpoints",
    "trainer.diagnostics",
}


@dataclasses.dataclass(frozen=True)
class Tuner(Stage):
    """Searches the configuration for the lowest bits per character; the stages after it get the best one."""

    config: Config  # whole: the best one is written as a recipe, and each trial is checked by its rules

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {"examples": Examples}
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {"best_hyperparameters": HyperParameters}
    configures: ClassVar[bool] = True

    @classmethod
    def from_config(cls, config: Config) -> Self:
        return cls(config)

    def settings(self) -> dict[str, Any]:
        # The other sections decide no trial.
        values = self.config.model_dump(mode="json", include={"tuner", *SEARCHED_SECTIONS})
        del values["transform"]["beam"]
        return values

    def environment(self, root: Path) -> dict[str, Any]:
        tokenizer = self._section().parameters.get("transform.tokenizer")
        return {
            "backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
            "optuna": _optuna_version(),
            "transform": Transform.from_config(self.config).environment(root),
            "tokenizers": trainer_version() if tokenizer and "bpe" in tokenizer.samples() else None,
        }

    def workspace(self, root: Path) -> Path:
        """Where finished trials and the running one lie while the search is not done."""
        return root / "checkpoints" / self.stage_name()

    def forget(self, root: Path) -> None:
        remove(self.workspace(root), _ONE_AT_A_TIME)

    def configured(self, config: Config, outputs: Mapping[str, Path]) -> Config:
        best = best_of(trials.read(outputs["best_hyperparameters"] / _TRIALS))
        return config if best is None else candidate(config, best.values)

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        # Imported here: Optuna takes half a second, and `--help` must not.
        from rich.console import Console

        from components.trainer.signals import StopRequest
        from components.tuner.process import TrialRunner
        from components.tuner.report import line, report
        from components.tuner.search import search

        console = Console(stderr=True, highlight=False)
        output = outputs["best_hyperparameters"]
        tuner, workspace = self._section(), self.workspace(root)
        inputs_digest = {key: digest_folder(path) for key, path in inputs.items()}
        settings = {**self.settings(), "inputs": inputs_digest, **self.environment(root)}
        with locked(workspace, _ONE_AT_A_TIME), StopRequest() as stop:
            known = _go_on(workspace, settings, tuner.trials)
            if known:
                console.print(f"Going on after trial {len(known)} of {tuner.trials}.", markup=False)
            done = list(known)

            def on_trial(trial: Trial) -> None:
                trials.append(workspace / _TRIALS, trial)
                done.append(trial)
                console.print(line(trial, tuner.trials, best_of(done) is trial), markup=False, soft_wrap=True)

            runner = TrialRunner(self.config, inputs["examples"], workspace, stop)
            integers = {key: is_integer(Config, key) for key in tuner.parameters}
            try:
                found = search(tuner, integers, known, runner.run, on_trial)
            except (KeyboardInterrupt, SystemExit):
                console.print(f"Stopped in trial {len(done) + 1}. The same command goes on from there.", markup=False)
                raise
        best = best_of(found.trials)
        if best is None:
            raise RuntimeError(
                f"Tuner: one trial must come to its end. Received: {len(found.trials)} trials, none completed.\n"
                + "\n".join(line(trial, tuner.trials, False) for trial in found.trials)
            )
        (output / "best_config.yaml").write_text(_recipe(self.config, best), "utf-8")
        for trial in found.trials:
            trials.append(output / _TRIALS, trial)
        (output / "report.txt").write_text(report(found), "utf-8")

    def _section(self) -> TunerConfig:
        if self.config.tuner is None:
            raise ValueError("Tuner: the configuration must have a section `tuner`. Received: none.")
        return self.config.tuner


def _recipe(config: Config, best: Trial) -> str:
    name = config.pipeline.name
    return (
        f"# The best of a search ({name}): trial {best.number}, {best.bits_per_char:.4f} bits per character on eval.\n"
        + dump_config(candidate(config, best.values))
    )


def _go_on(workspace: Path, settings: Mapping[str, Any], number: int) -> list[Trial]:
    """The trials of a search of these settings that was stopped; none at the beginning of one.

    Raises:
        ValueError: A search of other settings was stopped.
    """
    file = workspace / _SETTINGS
    settings = json.loads(json.dumps(settings))  # as it is read
    known: list[Trial] = []
    if file.exists():
        trials.mend(workspace / _TRIALS)
        known = trials.read(workspace / _TRIALS)
        before = json.loads(file.read_text("utf-8"))
        different = {key: text for key, text in changes(before, settings).items() if key not in _MAY_CHANGE}
        if different and len(known) < before["tuner"]["trials"]:
            listed = "; ".join(f"{key}: {text}" for key, text in different.items())
            raise ValueError(
                f"Tuner: a search that goes on must keep its settings. Received: {listed}, for the search that was "
                f"stopped after {len(known)} trials. Go on with the old settings, or begin anew: --force tuner, or "
                f"delete {workspace}."
            )
        if different:  # a search that is done, and whose files nobody came to remove
            known = []
            for path in set(workspace.iterdir()) - {workspace / LOCK}:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(settings, indent=2), "utf-8")
    temporary.replace(file)
    return known[:number]


def _optuna_version() -> str:
    """The version of Optuna; which values come next may depend on it.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    try:
        return importlib.metadata.version("optuna")
    except importlib.metadata.PackageNotFoundError as error:
        raise ModuleNotFoundError(
            "Tuner: the package optuna must be installed. Received: none. Install it: pip install 'rnn-pipeline[tune]'."
        ) from error
