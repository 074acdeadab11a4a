"""Finds the text that a pushed model was trained on, by the lineage of the root that it was pushed from."""

from __future__ import annotations

from pathlib import Path

from components.documents import Documents
from components.served.folder import version_folder
from pipeline.lineage import trace
from pipeline.metadata import FILE_NAME


def training_text(model: Path) -> dict[str, str] | None:
    """The documents of the train split: id → text; None where no lineage store knows the model.

    Raises:
        UsageError: There is no model.
    """
    version = version_folder(model).resolve()
    root = version.parents[2]  # <root>/serving/<name>/<version>
    if not (root / FILE_NAME).is_file():
        return None
    traced = trace(version)
    for execution in traced.before if traced is not None else ():
        if "examples" in execution.outputs:
            split = Documents.splits(execution.outputs["examples"].path).get("train")
            if split is not None:
                ids = (str(fields["id"]) for fields in split.fields())
                return {name: split.read(i) for i, name in enumerate(ids)}
    return None
