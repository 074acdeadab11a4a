"""The one visible wiring of the stages: which run, in which order. An output reaches the later inputs of its name."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.artifacts import Artifact
from pipeline.config import Config
from pipeline.stage import Stage


def stages(config: Config | None = None) -> tuple[type[Stage], ...]:
    """Returns the stages of the pipeline, each after the stages whose outputs it reads.

    Args:
        config: Leaves out the Tuner if it has no section `tuner`; None leaves out nothing.

    Their modules are light: TensorFlow and Beam are imported when a stage runs.
    """
    from components.evaluator.stage import Evaluator
    from components.example_gen.stage import ExampleGen
    from components.example_validator.stage import ExampleValidator
    from components.exporter.stage import Exporter
    from components.infra_validator.stage import InfraValidator
    from components.pusher.stage import Pusher
    from components.schema_gen.stage import SchemaGen
    from components.statistics_gen.stage import StatisticsGen
    from components.trainer.stage import Trainer
    from components.transform.stage import Transform
    from components.tuner.stage import Tuner

    every: tuple[type[Stage], ...] = (
        ExampleGen,  # → examples
        StatisticsGen,  # examples → statistics
        SchemaGen,  # statistics → schema
        ExampleValidator,  # statistics, schema → anomalies; may stop the run
        Tuner,  # examples → best_hyperparameters; the stages after it get the best configuration
        Transform,  # examples → transform_graph, transformed_examples
        Trainer,  # transform_graph, transformed_examples → model
        Evaluator,  # model, transform_graph, transformed_examples → evaluation, blessing
        Exporter,  # model, transform_graph, and for its card all they were made from → exported_model
        InfraValidator,  # exported_model, and what it was made from → infra_blessing
        Pusher,  # exported_model, blessing, infra_blessing → pushed_model
    )
    return tuple(stage for stage in every if stage is not Tuner or config is None or config.tuner is not None)


def producers(stages: Sequence[type[Stage]]) -> dict[str, type[Stage]]:
    """Maps each output key to the stage that writes it, and checks the wiring.

    Raises:
        TypeError: A name is given twice, or an input has no earlier output of its name and type.
    """
    made: dict[str, type[Stage]] = {}
    names: set[str] = set()
    for stage in stages:
        name = stage.stage_name()
        if name in names:
            raise TypeError(f"Graph: stages must differ in name. Received: {name!r} twice.")
        names.add(name)
        for key, wanted in stage.inputs.items():
            if key not in made:
                raise TypeError(
                    f"Graph: each input must be the output of an earlier stage. Received: {name}.{key}. "
                    f"Outputs before {name}: {', '.join(made) or 'none'}."
                )
            found = made[key].outputs[key]
            if found is not wanted:
                raise TypeError(
                    f"Graph: input and output must be of one type. Received: {name}.{key} is {wanted.__name__}, "
                    f"{made[key].stage_name()} writes {found.__name__}."
                )
        for key in stage.outputs:
            if key in made:
                raise TypeError(
                    f"Graph: an output must have one stage. Received: {key!r} of {made[key].stage_name()} and {name}."
                )
            made[key] = stage
    return made


def inputs_of(stage: type[Stage], stages: Sequence[type[Stage]]) -> dict[str, type[Artifact]]:
    """Maps what a stage depends on to its type: its own inputs, and what earlier stages make its configuration of."""
    keys: dict[str, type[Artifact]] = dict(stage.inputs)
    for earlier in stages[: list(stages).index(stage)]:
        if earlier.configures:
            keys.update(earlier.outputs)
    return keys
