"""The same graph for Kubeflow Pipelines: each stage a container that runs `run_pipeline.py stage`, as one IR YAML."""

# No `from __future__ import annotations`: kfp reads the annotation of a pipeline's parameter as a type, not as text.

import inspect
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline import graph
from pipeline.artifacts import Artifact, Examples, ExportedModel, Model, PushedModel, TransformedExamples
from pipeline.config import Config
from pipeline.errors import UsageError, did_you_mean
from pipeline.stage import Stage

try:
    from kfp import compiler, dsl, kubernetes
except ImportError as error:
    raise UsageError(
        "compile: the package kfp must be installed. Received: none. Install it: pip install 'rnn-pipeline[kubeflow]'."
    ) from error

VOLUME = "/mnt/pipeline"  # where pods mount the claim
_BACKOFF = "30s"  # before the first retry; twice as long before each other
_LONGEST_NAME = 128  # characters that kfp allows a pipeline
_PART = "[a-z0-9]+((\\.|__?|-+)[a-z0-9]+)*"
# HOST:PORT/PATH:TAG@DIGEST, as the container registries' distribution specification has it.
_IMAGE = re.compile(
    rf"(([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?/)?{_PART}(/{_PART})*"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@[A-Za-z0-9+._-]+:[0-9A-Fa-f]{32,})?"
)
# How Kubeflow shows an artifact; the others are plain.
_KINDS: dict[type[Artifact], type[dsl.Artifact]] = {
    Examples: dsl.Dataset,
    TransformedExamples: dsl.Dataset,
    Model: dsl.Model,
    ExportedModel: dsl.Model,
    PushedModel: dsl.Model,
}


def compile_pipeline(stages: Sequence[type[Stage]], config: Config, image: str, output: Path) -> None:
    """Writes a pipeline as an IR YAML for Kubeflow Pipelines 2 and Vertex AI Pipelines.

    The pipeline has one parameter, `root`: the root folder, as a pod sees it.

    Args:
        stages: In topological order.
        config: The whole configuration; its section `kubeflow` says what the pods get.
        image: The container image of every stage, made of the project's Dockerfile.
        output: The YAML file.

    Raises:
        UsageError: The image is none, the file's name or folder will not do, or the configuration gives resources to
            an unknown stage or has too long a name.
    """
    if not _IMAGE.fullmatch(image) or image.startswith("-"):
        raise UsageError(
            f"compile: --image must be a container image. Received: {image!r}. Example: --image registry/rnn-pipeline:1"
        )
    if output.suffix != ".yaml" or not output.parent.is_dir() or output.is_dir():
        raise UsageError(f"compile: --output must be a .yaml file in an existing folder. Received: {str(output)!r}.")
    _check_resources(stages, config)
    name = config.pipeline.name.lower().replace("_", "-")
    if len(name) > _LONGEST_NAME:
        raise UsageError(
            f"compile: pipeline.name must have at most {_LONGEST_NAME} characters. Received: {name!r}, {len(name)} "
            "characters. Give a shorter one with --set pipeline.name=NAME."
        )

    @dsl.pipeline(name=name, description=f"rnn-pipeline: {' → '.join(stage.stage_name() for stage in stages)}")
    def pipeline(root: str = f"{VOLUME}/runs/{config.pipeline.name}") -> None:
        made: dict[str, Any] = {}  # output key → the channel that carries its URI
        gate: dsl.PipelineTask | None = None
        for stage in stages:
            keys = graph.inputs_of(stage, stages)
            task = _component(stage, keys, config, image)(root=root, **{key: made[key] for key in keys})
            _configure(task, stage, config)
            # What refuses says so of the whole run, also to stages that read nothing of it.
            if gate is not None:
                task.after(gate)
            if stage.refusals is not Stage.refusals:
                gate = task
            made.update({key: task.outputs[key] for key in stage.outputs})

    compiler.Compiler().compile(pipeline, str(output))


def _component(stage: type[Stage], inputs: dict[str, type[Artifact]], config: Config, image: str) -> Any:
    """Returns the container component of a stage; Kubeflow puts local paths in place of the artifacts' URIs."""
    kinds = {key: dsl.Input[_KINDS.get(kind, dsl.Artifact)] for key, kind in inputs.items()}
    kinds |= {key: dsl.Output[_KINDS.get(kind, dsl.Artifact)] for key, kind in stage.outputs.items()}

    def component(root: Any, *artifacts: Any) -> dsl.ContainerSpec:
        arguments = ["stage", stage.stage_name(), "--root", root]
        for key, artifact in zip(kinds, artifacts, strict=True):
            arguments += ["--output" if key in stage.outputs else "--input", f"{key}={artifact.path}"]
        return dsl.ContainerSpec(image, ["python3", "run_pipeline.py"], [*arguments, *_settings(config)])

    component.__name__ = stage.stage_name()
    component.__doc__ = inspect.getdoc(stage)
    component.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind)
            for name, kind in {"root": str, **kinds}.items()
        ]
    )
    return dsl.container_component(component)


def _settings(config: Config) -> Iterator[str]:
    """Writes a configuration as command line arguments: JSON is YAML, and no file has to be in the image."""
    for name in type(config).model_fields:
        section = getattr(config, name)
        if section is not None and name != "kubeflow":
            yield from ("--set", f"{name}={section.model_dump_json(exclude_unset=True)}")


def _configure(task: dsl.PipelineTask, stage: type[Stage], config: Config) -> None:
    name, settings = stage.stage_name(), config.kubeflow
    task.set_caching_options(_is_cacheable(name, config))
    task.set_retry(settings.retries, backoff_duration=_BACKOFF)
    task.set_env_variable("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "tensorflow"))
    if settings.claim is not None:
        kubernetes.mount_pvc(task, pvc_name=settings.claim, mount_path=VOLUME)
    resources = settings.resources.get(name)
    if resources is None:
        return
    if resources.cpu is not None:
        task.set_cpu_request(f"{resources.cpu:g}").set_cpu_limit(f"{resources.cpu:g}")
    if resources.memory is not None:
        task.set_memory_request(resources.memory).set_memory_limit(resources.memory)
    if resources.gpu:
        task.set_accelerator_type(settings.gpu_type).set_accelerator_limit(resources.gpu)


def _is_cacheable(name: str, config: Config) -> bool:
    """Whether image, arguments and inputs decide what a stage writes: Kubeflow's cache knows nothing else."""
    if name == "example_gen":  # other sources may hold something else the next time
        return config.example_gen.source.startswith(("inline:", "package:"))
    if name == "schema_gen":
        return config.schema_gen.schema_file is None
    if name == "evaluator":  # a threshold on change holds the model against the last blessed one of the root
        return not config.evaluator.thresholds.has_change
    # Two look at the root, too; what the InfraValidator refuses may be well on another machine.
    return name not in ("example_validator", "infra_validator", "pusher")


def _check_resources(stages: Sequence[type[Stage]], config: Config) -> None:
    names = [stage.stage_name() for stage in stages]
    for name in config.kubeflow.resources:
        if name not in names:
            raise UsageError(
                f"compile: kubeflow.resources must name stages. Received: {name!r}.{did_you_mean(name, names)} "
                f"Stages: {', '.join(names)}."
            )
