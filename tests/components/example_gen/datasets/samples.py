"""What the tests of data sets share: small samples in the raw formats, read as ExampleGen reads them."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components.example_gen.datasets.registry import find
from components.example_gen.parsed import BadRecord, Document
from components.example_gen.split_names import SPLITS

Read = tuple[list[dict[str, Any]], list[BadRecord]]


def put(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Writes files below a data root, those that end in `.gz` compressed."""
    for name, content in files.items():
        raw = content.encode() if isinstance(content, str) else content
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return root


def read(name: str, root: Path) -> Read:
    """Every document as a mapping, its `split` and `text` and `array` among the fields, and every bad record."""
    data_set = find(name)
    good, bad = [], []
    for piece, _ in data_set.pieces(root / (data_set.folder or "")):
        for event in data_set.read(piece):
            if isinstance(event, BadRecord):
                bad.append(event)
                continue
            assert isinstance(event, Document)
            known = json.loads(event.line)
            assert known["id"] == event.id
            assert event.characters == len(event.raw.decode())
            if event.split is not None:
                known["split"] = SPLITS[event.split]
            if event.raw:
                known["text"] = event.raw.decode()
            if event.array is not None:
                feature = data_set.features["array"]
                assert event.array.dtype == feature.dtype
                assert all(size in (own, None) for size, own in zip(feature.shape, event.array.shape, strict=True))
                known["array"] = event.array
            assert set(data_set.features) <= set(known)
            good.append(known)
    return good, bad


def png(pixels: np.ndarray, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


def rules(bad: list[BadRecord]) -> list[tuple[int | None, str, str]]:
    return [(record.line, record.rule, record.reason) for record in bad]
