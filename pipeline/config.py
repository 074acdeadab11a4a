"""One typed configuration: every key, with its default, its range and what it means.

`pipeline.config_file` reads it from a YAML file plus `--set a.b=VALUE` overrides, and says in words what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pydantic
from pydantic import Field, PositiveFloat, PositiveInt

from pipeline.evaluator_config import OF_WORDS, metrics_of
from pipeline.evaluator_config import EvaluatorConfig as EvaluatorConfig
from pipeline.evaluator_config import ThresholdsConfig as ThresholdsConfig
from pipeline.example_gen_config import ExampleGenConfig as ExampleGenConfig
from pipeline.example_gen_config import FieldsConfig as FieldsConfig
from pipeline.example_gen_config import SeparatorConfig as SeparatorConfig
from pipeline.example_gen_config import SplitsConfig as SplitsConfig
from pipeline.kubeflow_config import KubeflowConfig as KubeflowConfig
from pipeline.model_config import WRITERS
from pipeline.model_config import ModelConfig as ModelConfig
from pipeline.section import Section
from pipeline.trainer_config import EXAMPLES_IN_A_BATCH
from pipeline.trainer_config import OptimizerConfig as OptimizerConfig
from pipeline.trainer_config import TrainerConfig as TrainerConfig
from pipeline.transform_config import BeamConfig as BeamConfig
from pipeline.transform_config import TokenizerConfig as TokenizerConfig
from pipeline.transform_config import TransformConfig as TransformConfig
from pipeline.tuner_config import TunerConfig, check_parameters

# Keys outside the section `model` that not every task reads → the tasks that do.
TASKS_THAT_READ: Mapping[str, Sequence[str]] = {
    "transform.target": WRITERS,
    "evaluator.beam_width": WRITERS,
    "evaluator.show_probabilities": ("language_model",),
}
OF_LANES = (
    "transform.lanes",
    "transform.window_length",
    "trainer.truncation_length",
    "trainer.update_interval",
    "trainer.length_warmup",
)


class PipelineConfig(Section):
    """What the pipeline is called: names its root folder and the served model."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="a name of letters, digits, '_' and '-' that starts with a letter or a digit",
    )


class SchemaGenConfig(Section):
    """What documents have to be: read from a file, or inferred from the train split.

    schema_file: A tensorflow_metadata Schema as text (schema.pbtxt); null infers one, with the keys below.
    domain_values: A field of text with at most this many values in train gets them as its domain.
    skew: Most that eval or test may differ from train, as the Jensen-Shannon divergence of their characters in bits
        (0 the same, 1 nothing in common).
    drift: Most that a split may differ from the same split of the corpus accepted before, measured alike.
    """

    schema_file: str | None = None
    domain_values: PositiveInt = 100
    skew: float = Field(default=0.05, ge=0, le=1)
    drift: float = Field(default=0.05, ge=0, le=1)


class CheckConfig(Section):
    """What a finding of one check does: nothing, a warning, or the end of the run."""

    severity: Literal["off", "warn", "stop"] = "warn"


class ShareCheckConfig(CheckConfig):
    """A check that tolerates some: a finding is a share above `max_share`."""

    max_share: float = Field(default=0.0, ge=0, le=1)


class ExampleValidatorConfig(Section):
    """What is checked of each split, how much is tolerated, and what a finding does.

    unseen_characters: Share of a split's characters outside the schema's.
    new_script: Share of a split's characters in a script that none of the schema's characters has.
    invalid_characters: Share of characters that no text should hold: control (but tab and line ends), replacement,
        private-use, unassigned.
    empty_documents: Share of documents without a character.
    document_length: Documents shorter or longer than the schema says.
    required_fields: Fields that the schema requires and documents lack.
    field_domain: Share of a field's values outside the schema's domain, range or type.
    leaked_documents: Share of the documents of eval and test that train holds, too.
    skew: Characters of eval and test against train; the schema says how much is too much.
    drift: Characters of a split against the same split of the corpus accepted before; the schema says so, too.
    script_drift: Share of a split's characters in a script that the corpus accepted before has nowhere.
    """

    unseen_characters: ShareCheckConfig = ShareCheckConfig(max_share=0.001)
    new_script: ShareCheckConfig = ShareCheckConfig(severity="stop", max_share=0.001)
    invalid_characters: ShareCheckConfig = ShareCheckConfig(max_share=0.0001)
    empty_documents: ShareCheckConfig = ShareCheckConfig(severity="stop", max_share=0.1)
    document_length: CheckConfig = CheckConfig()
    required_fields: CheckConfig = CheckConfig(severity="stop")
    field_domain: ShareCheckConfig = ShareCheckConfig()
    leaked_documents: ShareCheckConfig = ShareCheckConfig(max_share=0.01)
    skew: CheckConfig = CheckConfig()
    drift: CheckConfig = CheckConfig()
    script_drift: ShareCheckConfig = ShareCheckConfig(severity="stop", max_share=0.001)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _keep_defaults(cls, values: Any) -> Any:
        # Who sets a check's severity alone keeps that check's own share, and the other way round.
        if not isinstance(values, dict):
            return values
        kept = {name: field.default.model_dump() for name, field in cls.model_fields.items()}
        return {
            name: kept[name] | given if name in kept and isinstance(given, dict) else given
            for name, given in values.items()
        }


class InfraValidatorConfig(Section):
    """What a model has to hold where it is served.

    latency_ms: Most milliseconds of a request with one row: 100 tokens of a language model, an answer of the others.
    memory_mb: Most megabytes of a process that has loaded the model with TensorFlow and used it.
    servers: Whether it is asked through servers, too: this project's, and TensorFlow Serving where
        `tensorflow_model_server` is on the PATH.
    timeout_s: Seconds that each process has; a model that takes longer is refused.
    """

    latency_ms: PositiveFloat | None = None
    memory_mb: PositiveFloat | None = None
    servers: bool = True
    timeout_s: PositiveFloat = 600.0


class PusherConfig(Section):
    """Where blessed models are pushed to.

    keep: Newest versions that stay there; null keeps all.
    destination: Folder or URL (gs://, s3://, hdfs://, … of Beam's file systems) in place of `<root>/serving`: versions
        are `<destination>/<pipeline.name>/<version>`.
    """

    keep: PositiveInt | None = None
    destination: str | None = Field(default=None, min_length=1)


class Config(Section):
    """The whole configuration, one section per stage, plus `pipeline`, `model`, `beam` and `kubeflow`."""

    pipeline: PipelineConfig
    beam: BeamConfig = BeamConfig()
    example_gen: ExampleGenConfig
    schema_gen: SchemaGenConfig = SchemaGenConfig()
    example_validator: ExampleValidatorConfig = ExampleValidatorConfig()
    tuner: TunerConfig | None = None
    transform: TransformConfig = TransformConfig()
    model: ModelConfig = ModelConfig()
    trainer: TrainerConfig = TrainerConfig()
    evaluator: EvaluatorConfig = EvaluatorConfig()
    infra_validator: InfraValidatorConfig = InfraValidatorConfig()
    pusher: PusherConfig = PusherConfig()
    kubeflow: KubeflowConfig = KubeflowConfig()

    @pydantic.model_validator(mode="after")
    def _parameters_fit(self) -> Config:
        if self.tuner is not None:
            check_parameters(self.tuner, type(self))
        return self

    @pydantic.model_validator(mode="after")
    def _thresholds_fit(self) -> Config:
        is_of_words = self.transform.of("target").tokenizer == "word"
        known = [name for name in metrics_of(self.model.task) if name != OF_WORDS or is_of_words]
        self.evaluator.thresholds.check(self.model.task, known)
        return self

    @pydantic.model_validator(mode="after")
    def _keys_are_read(self) -> Config:
        for key, tasks in TASKS_THAT_READ.items():
            if self.model.task not in tasks and self.is_set(key):
                raise ValueError(f"{key} is for the task {' or '.join(tasks)}, not for {self.model.task}. Leave it out")
        for key in OF_LANES:
            # A language model reads both: a recipe of lanes may have its records changed with nothing else.
            is_other_choice = self.model.task == "language_model" and key.startswith("transform.")
            if self.transform.records == "examples" and self.is_set(key) and not is_other_choice:
                raise ValueError(
                    f"{key} is for lanes; with transform.records: examples each document is a record of its own, "
                    "back-propagated whole. Leave it out"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _sections_agree(self) -> Config:
        if self.trainer.vanishing_penalty is not None and self.model.dropout.recurrent > 0:
            raise ValueError(
                "trainer.vanishing_penalty needs model.dropout.recurrent=0: the masks would stand between the states; "
                f"received {self.model.dropout.recurrent}"
            )
        if self.trainer.vanishing_penalty is not None and self.trainer.devices != 1:
            raise ValueError(
                f"trainer.vanishing_penalty is for one device; received trainer.devices={self.trainer.devices}"
            )
        if self.model.task != "language_model" and self.transform.records != "examples":
            raise ValueError(
                f"model.task {self.model.task} learns from examples, so transform.records must be examples; received "
                f"{self.transform.records}"
            )
        if self.trainer.warm_start and self.tuner is not None:
            raise ValueError("trainer.warm_start is for one architecture, and tuner tries many. Leave one of them out")
        if self.model.task != "language_model" and self.tuner is not None:
            raise ValueError("tuner searches for language models. Leave it out, or set model.task: language_model")
        if self.model.task != "language_model" and self.trainer.vanishing_penalty is not None:
            raise ValueError("trainer.vanishing_penalty is for model.task language_model. Leave it out")
        if self.transform.records == "examples":
            self._check_devices(self.trainer.batch_size or EXAMPLES_IN_A_BATCH, "trainer.batch_size")
            return self
        lanes, batch_size, window = self.transform.lanes, self.trainer.batch_size, self.transform.window_length
        if batch_size is not None and lanes % batch_size:
            raise ValueError(f"trainer.batch_size must divide transform.lanes={lanes}; received {batch_size}")
        self._check_devices(batch_size or lanes, "transform.lanes" if batch_size is None else "trainer.batch_size")
        interval, length = self.trainer.update_interval or window, self.trainer.truncation_length
        if length is not None and length < interval:
            raise ValueError(
                f"trainer.truncation_length must be at least trainer.update_interval (here transform.window_length="
                f"{window}); received {length}"
            )
        warmup = self.trainer.length_warmup
        if warmup is not None and warmup.length >= interval:
            raise ValueError(f"trainer.length_warmup.length must be below {interval}; received {warmup.length}")
        if warmup is not None and length not in (None, interval):
            raise ValueError(f"trainer.length_warmup needs truncation_length = update_interval; received {length}")
        return self

    def _check_devices(self, rows: int, name: str) -> None:
        devices = self.trainer.devices
        if devices != "all" and rows % devices:
            raise ValueError(f"trainer.devices must divide the rows of a batch, {name}={rows}; received {devices}")
