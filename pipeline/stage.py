"""The stage contract: typed inputs and outputs, a frozen config, and `run(inputs, outputs)`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pipeline.artifacts import Artifact
from pipeline.config import Config


@dataclasses.dataclass(frozen=True)
class Stage:
    """One step of the pipeline.

    A subclass is a frozen dataclass. Each of its fields is named after the section of the configuration it holds
    (`transform: TransformConfig`), so the fields are at once the stage's config and the part of the configuration
    that its result depends on.

    `run` reads the folders in `inputs` and fills the (existing, empty) folders in `outputs`. The runner hands it
    temporary folders and renames them when `run` returns, so an output is whole or absent.

    Attributes:
        inputs: Name → type of each artifact read.
        outputs: Name → type of each artifact written.
        configures: The stages after it get the configuration that `configured` returns.
        ahead: May begin as soon as its inputs are there, in a process of its own, while stages before it in the graph
            are at work. They may still end the run: nothing may come of it but its outputs. That process has to find
            its class by importing the module.
    """

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {}
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {}
    configures: ClassVar[bool] = False
    ahead: ClassVar[bool] = False

    @classmethod
    def stage_name(cls) -> str:
        """Name of the stage in configs and on the command line: `InfraValidator` → `infra_validator`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Picks this stage's sections out of the whole configuration."""
        return cls(**{field.name: getattr(config, field.name) for field in dataclasses.fields(cls)})

    def settings(self) -> dict[str, Any]:
        """The stage's sections as plain JSON values; part of the fingerprint."""
        return {field.name: getattr(self, field.name).model_dump(mode="json") for field in dataclasses.fields(self)}

    def environment(self, root: Path) -> dict[str, Any]:
        """What the result depends on besides config, code and inputs (a source's digest, a backend).

        Part of the fingerprint, so it must be cheap, JSON and the same for the same content. Raises the same errors
        as `run` would when the thing cannot be read.
        """
        return {}

    def reusable(self, outputs: Mapping[str, Path], root: Path) -> bool:
        """Says whether earlier outputs, whole and of the same fingerprint, may stand in for a new run.

        A stage with an effect outside its outputs answers False when that effect is gone: Pusher, when the version
        folder it pushed was deleted. The folders in `outputs` exist.
        """
        return True

    def configured(self, config: Config, outputs: Mapping[str, Path]) -> Config:
        """Returns the configuration of the stages after this one, whose outputs are given; the same by default."""
        return config

    def refusals(self, outputs: Mapping[str, Path], root: Path) -> list[str]:
        """Says why nothing after this stage may run, a sentence each; nothing by default.

        Asked whenever the stage ran or its earlier outputs stand in. Unlike an exception of `run`, a refusal keeps the
        outputs: they are what people look at, and what the next run finds instead of doing the work again.
        """
        return []

    def forget(self, root: Path) -> None:
        """Removes what an execution that was stopped left in the root for the next one to go on with.

        Called when the outputs of an execution are published, and before one that `--force` wants to begin anew.
        """
        return None

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        """Does the work.

        Args:
            inputs: Folder of each artifact in the class attribute `inputs`.
            outputs: Empty folder for each artifact in the class attribute `outputs`.
            root: The pipeline's root folder; Pusher writes its versions to it, Trainer its checkpoints.

        Raises:
            Exception: Whatever went wrong. The message is for people; the runner stores nothing of the attempt.
        """
        raise NotImplementedError(f"{type(self).__name__} must override run().")
