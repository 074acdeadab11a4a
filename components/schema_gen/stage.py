"""The SchemaGen stage: infers the schema from the train split's statistics, or takes the one that is given."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pipeline.artifacts import Artifact, ExampleStatistics, Schema
from pipeline.config import SchemaGenConfig
from pipeline.stage import Stage


@dataclasses.dataclass(frozen=True)
class SchemaGen(Stage):
    """Says what documents have to be: as in train, or as a given schema has it."""

    schema_gen: SchemaGenConfig

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {"statistics": ExampleStatistics}
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {"schema": Schema}

    def settings(self) -> dict[str, Any]:
        # Where a schema lies changes nothing, its bytes do.
        return {"schema_gen": self.schema_gen.model_dump(mode="json", exclude={"schema_file"})}

    def environment(self, root: Path) -> dict[str, Any]:
        given = self._given()
        return {"schema": None if given is None else hashlib.sha256(given).hexdigest()}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        from components.schema_gen.schema import FILE_NAME, infer, parse, to_text
        from components.statistics_gen.statistics import load

        given = self._given()
        if given is None:
            given = to_text(infer(_train(load(inputs["statistics"])), self.schema_gen)).encode("utf-8")
        parse(given, str(self.schema_gen.schema_file))
        (outputs["schema"] / FILE_NAME).write_bytes(given)

    def _given(self) -> bytes | None:
        if self.schema_gen.schema_file is None:
            return None
        try:
            return Path(self.schema_gen.schema_file).expanduser().read_bytes()
        except OSError as error:
            raise ValueError(
                f"SchemaGen: schema_gen.schema_file must be readable ({error.strerror}), seen from {Path.cwd()}. "
                f"Received: schema_file={self.schema_gen.schema_file!r}. Correct the path, or leave it out."
            ) from error


def _train(splits: Mapping[str, Any]) -> Any:
    if "train" not in splits:
        raise ValueError(
            f"SchemaGen: a schema can only be inferred from a train split. Received: splits {', '.join(splits)}. "
            "Give one as schema_gen.schema_file."
        )
    return splits["train"]
