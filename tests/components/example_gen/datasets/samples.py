"""What the tests of data sets share: reading them as ExampleGen does, and what it says of bad records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from components.example_gen.datasets.registry import find
from components.example_gen.parsed import BadRecord, Document
from components.example_gen.split_names import SPLITS

Read = tuple[list[dict[str, Any]], list[BadRecord]]


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


def rules(bad: list[BadRecord]) -> list[tuple[int | None, str, str]]:
    return [(record.line, record.rule, record.reason) for record in bad]
