"""Finds the text that a pushed model was trained on, by the lineage of the root that it was pushed from."""

from __future__ import annotations

import json
from pathlib import Path

from components.documents import Documents
from components.served.folder import version_folder
from pipeline.metadata import FILE_NAME, MetadataStore


def training_text(model: Path) -> dict[str, str] | None:
    """The documents of the train split: id → text; None where no lineage store knows the model.

    Raises:
        UsageError: There is no model.
    """
    version = version_folder(model).resolve()
    root = version.parents[2]  # <root>/serving/<name>/<version>
    if not (root / FILE_NAME).is_file():
        return None
    destination = version.relative_to(root).as_posix()
    with MetadataStore(root, read_only=True) as store:
        for pushed in sorted(root.glob("pusher/*/pushed_model/pushed.json")):
            if json.loads(pushed.read_text("utf-8"))["destination"] == destination:
                for examples in store.made_from(pushed.parent, "Examples"):
                    split = Documents.splits(examples).get("train")
                    if split is not None:
                        ids = (str(fields["id"]) for fields in split.fields())
                        return {name: split.read(i) for i, name in enumerate(ids)}
    return None
