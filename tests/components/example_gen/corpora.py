"""What the tests of ExampleGen share: running the stage, and reading what it wrote without the code that wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from components.example_gen.stage import ExampleGen
from pipeline.config import BeamConfig, ExampleGenConfig

SPLITS = ("train", "eval", "test")


def stage(source: str, splits: Any = "same", beam: BeamConfig | None = None, **settings: Any) -> ExampleGen:
    config = ExampleGenConfig.model_validate({"source": source, "splits": splits, **settings})
    return ExampleGen(config, beam or BeamConfig())


def generate(folder: Path, source: str, splits: Any = "same", **settings: Any) -> Path:
    folder.mkdir()
    stage(source, splits, **settings).run({}, {"examples": folder}, folder.parent)
    return folder


def texts(examples: Path) -> dict[str, bytes]:
    return {path.name: (path / "documents.txt").read_bytes() for path in sorted(examples.glob("Split-*"))}


def fields(examples: Path, split: str = "train") -> list[dict[str, Any]]:
    lines = (examples / f"Split-{split}" / "documents.jsonl").read_bytes().split(b"\n")
    assert lines.pop() == b""
    return [json.loads(line) for line in lines]


def documents(examples: Path, split: str = "train") -> list[tuple[str, bytes]]:
    """Each document's id and bytes, cut out of the text as the index says."""
    folder = examples / f"Split-{split}"
    text = (folder / "documents.txt").read_bytes()
    starts = np.load(folder / "offsets.npy")[:, 0].tolist()
    ids = [entry["id"] for entry in fields(examples, split)]
    return [(name, text[a:b]) for name, a, b in zip(ids, starts[:-1], starts[1:], strict=True)]


def bad_records(examples: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (examples / "bad_records.jsonl").read_text("utf-8").splitlines()]


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
