"""What Transform must write, built naively from Python lists, and a TFRecord parser that shares nothing with it."""

import itertools
import json
import random
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.transform.stage import Transform
from pipeline.config import BeamConfig, TransformConfig

SPECIALS = ("end", "unk", "pad")


def words(seed: int, length: int, alphabet: str = "abcdefg é𝄞—\n") -> str:
    return "".join(random.Random(seed).choices(alphabet, k=length))


@dataclass(frozen=True)
class Case:
    """A corpus and how it is cut."""

    train: Sequence[str]
    lanes: int
    window_length: int
    eval: Sequence[str] = ("bad egg", "", "x é")
    test: Sequence[str] = ("cab",)
    specials: tuple[str, ...] = SPECIALS
    min_count: int = 1

    @property
    def splits(self) -> dict[str, Sequence[str]]:
        return {"train": self.train, "eval": self.eval, "test": self.test}

    @property
    def settings(self) -> dict[str, Any]:
        names = ("lanes", "window_length", "specials", "min_count")
        return {name: getattr(self, name) for name in names}

    @property
    def token_ids(self) -> dict[str, int]:
        """Characters of the vocabulary → id."""
        counts = Counter("".join(self.train))
        kept = sorted(character for character in counts if counts[character] >= self.min_count)
        return {character: len(self.specials) + i for i, character in enumerate(kept)}

    def stream(self, split: str) -> list[int]:
        end, ids = self.specials.index("end"), self.token_ids
        unknown = self.specials.index("unk") if "unk" in self.specials else None
        stream: list[int] = []
        for document in self.splits[split]:
            stream = stream + [end] + [ids.get(character, unknown) for character in document]
        return [*stream, end]

    def openings(self, split: str) -> set[int]:
        """Positions in the stream where a document opens."""
        return {sum(len(d) + 1 for d in self.splits[split][:i]) for i in range(len(self.splits[split]))}

    def lane_count(self, split: str) -> int:
        return self.lanes if split == "train" else 1

    def lane_predictions(self, split: str) -> list[list[tuple[int, int]]]:
        """(input, target) of each step of each lane."""
        stream = self.stream(split)
        return cut(list(itertools.pairwise(stream)), self.lane_count(split))

    def lane_windows(self, split: str) -> list[list[list[int]]]:
        """The tokens of each window of each lane: window_length + 1 of them, the rest of the last filled with 0."""
        length = self.window_length
        lanes = [[i for i, _ in lane] + [lane[-1][1]] for lane in self.lane_predictions(split)]
        count = max(-(-(len(lane) - 1) // length) for lane in lanes)
        padded = [lane + [0] * (count * length + 1 - len(lane)) for lane in lanes]
        return [[lane[w * length : w * length + length + 1] for w in range(count)] for lane in padded]


def cut(items: list[Any], parts: int) -> list[list[Any]]:
    """Contiguous parts, the border after part b at b/parts of the items, rounded down."""
    return [items[b * len(items) // parts : (b + 1) * len(items) // parts] for b in range(parts)]


CASES = {
    "one_document": Case([words(0, 300)], lanes=3, window_length=7),
    "37_documents": Case([words(i, 5 + 7 * i) for i in range(37)], lanes=5, window_length=11),
    "short_documents": Case([words(i, 1 + i % 4) for i in range(60)], lanes=2, window_length=16),
    "empty_documents": Case(["", "", words(1, 90), "", "", "", words(2, 50), ""], lanes=3, window_length=5),
    "only_empty_documents": Case([""] * 12, lanes=2, window_length=3, eval=[""], test=[""]),
    "dividing": Case([words(3, 59), words(4, 119)], lanes=5, window_length=6),  # 180 = 5 × 6 windows of 6
    "dividing_lanes_only": Case([words(3, 59), words(4, 114)], lanes=5, window_length=6),  # 175 = 5 × 35
    "one_window_per_lane": Case([words(5, 41)], lanes=6, window_length=7),
    "one_lane_window_of_one": Case([words(6, 20), words(7, 9)], lanes=1, window_length=1),
    "end_is_not_id_zero": Case([words(i, 30) for i in range(5)], lanes=2, window_length=8, specials=("unk", "end")),
    "only_end": Case(["hello"], 1, 6, eval=["hole"], test=["hello", "hell"], specials=("end",)),
    "two_byte_ids": Case(["".join(map(chr, range(0x4E00, 0x4E00 + 400)))] * 2, lanes=2, window_length=9),
    "rare_characters": Case([words(8, 200) + "!?!"], lanes=2, window_length=8, min_count=2),
}


def write_examples(folder: Path, splits: dict[str, Sequence[str]]) -> Path:
    """Writes the Examples artifact by hand: ExampleGen would refuse an empty document."""
    for split, documents in splits.items():
        (folder / f"Split-{split}").mkdir(parents=True, exist_ok=True)
        offsets, text, fields = [(0, 0)], b"", ""
        for i, document in enumerate(documents):
            raw = document.encode("utf-8")
            offsets.append((offsets[-1][0] + len(raw), offsets[-1][1] + len(document)))
            text += raw
            fields += json.dumps({"id": f"{i}"}) + "\n"
        (folder / f"Split-{split}" / "documents.txt").write_bytes(text)
        (folder / f"Split-{split}" / "documents.jsonl").write_text(fields, encoding="utf-8")
        np.save(folder / f"Split-{split}" / "offsets.npy", np.asarray(offsets, np.int64))
    return folder


def write_features(folder: Path, features: dict[str, Any], splits: dict[str, Sequence[dict[str, Any]]]) -> Path:
    """Writes the Examples artifact by hand.

    Args:
        features: The content of `features.json`.
        splits: Split → documents: `text` and `array` where they have them, all else as their fields.
    """
    write_examples(folder, {split: [d.get("text", "") for d in documents] for split, documents in splits.items()})
    (folder / "features.json").write_text(json.dumps(features), encoding="utf-8")
    for split, documents in splits.items():
        lines, raw, starts = "", b"", [0]
        for i, document in enumerate(documents):
            known = {name: value for name, value in document.items() if name not in ("text", "array")}
            lines += json.dumps({"id": f"{split}-{i}"} | known) + "\n"
            if "array" in features:
                raw += np.asarray(document["array"], np.dtype(features["array"]["dtype"]).newbyteorder("<")).tobytes()
                starts.append(len(raw))
        (folder / f"Split-{split}" / "documents.jsonl").write_text(lines, encoding="utf-8")
        if "array" in features:
            (folder / f"Split-{split}" / "arrays.bin").write_bytes(raw)
            np.save(folder / f"Split-{split}" / "arrays.npy", np.asarray(starts, np.int64))
    return folder


@dataclass(frozen=True)
class Transformed:
    """The output folders of a Transform."""

    graph: Path
    examples: Path


def run_transform(examples: Path, folder: Path, **settings: Any) -> Transformed:
    result = Transformed(folder / "transform_graph", folder / "transformed_examples")
    result.graph.mkdir(parents=True)
    result.examples.mkdir()
    outputs = {"transform_graph": result.graph, "transformed_examples": result.examples}
    Transform(TransformConfig(**settings), BeamConfig()).run({"examples": examples}, outputs, folder)
    return result


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def parse_tfrecord(path: Path) -> list[bytes]:
    """The data of each record; checksums are left to the tests that read with TensorFlow."""
    raw, records = path.read_bytes(), []
    while raw:
        (length,) = struct.unpack("<Q", raw[:8])
        records.append(raw[12 : 12 + length])
        raw = raw[12 + length + 4 :]
    return records


def tokens(record: bytes, dtype: str) -> list[int]:
    code = {"uint8": "B", "uint16": "H", "uint32": "I"}[dtype]
    return list(struct.unpack(f"<{len(record) // struct.calcsize(code)}{code}", record))
