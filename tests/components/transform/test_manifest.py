"""The manifest: its file, and the layout it stands for."""

import json
from pathlib import Path

import pytest

from components.transform.lanes import SplitLayout
from components.transform.manifest import FeatureInfo, Manifest, SplitManifest

LAYOUT = SplitLayout(predictions=23, lanes=3, window_length=4)
MANIFEST = Manifest(9, 4, "uint8", {"train": SplitManifest.of(LAYOUT, documents=2, characters=21, unknown=3)})


def test_manifest_saved_and_loaded_is_equal(tmp_path: Path) -> None:
    MANIFEST.save(tmp_path)
    assert Manifest.load(tmp_path) == MANIFEST


def test_manifest_file_says_every_count(tmp_path: Path) -> None:
    MANIFEST.save(tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text("utf-8")) == {
        "vocabulary_size": 9,
        "window_length": 4,
        "dtype": "uint8",
        "records": "lanes",
        "features": {},
        "splits": {
            "train": {
                "documents": 2,
                "characters": 21,
                "tokens": 24,
                "predictions": 23,
                "unknown": 3,
                "unknown_rate": 3 / 21,
                "lanes": 3,
                "windows": 2,  # 23 predictions in 3 lanes: 7, 8, 8
                "padding": 1,
                "dropped_tail": 0,
            }
        },
    }


def test_manifest_features_saved_and_loaded_are_equal(tmp_path: Path) -> None:
    features = {
        "tokens": FeatureInfo("tokens", "uint16", 300),
        "value": FeatureInfo("number", "float32"),
        "array": FeatureInfo("array", "uint8", shape=(None, 12)),
    }
    manifest = Manifest(300, 4, "uint16", {}, "examples", features)
    manifest.save(tmp_path)
    assert Manifest.load(tmp_path) == manifest
    assert json.loads((tmp_path / "manifest.json").read_text("utf-8"))["features"] == {
        "tokens": {"kind": "tokens", "dtype": "uint16", "size": 300},
        "value": {"kind": "number", "dtype": "float32"},
        "array": {"kind": "array", "dtype": "uint8", "shape": [None, 12]},
    }


def test_manifest_layout_is_that_of_the_split() -> None:
    assert MANIFEST.layout("train") == LAYOUT


def test_split_manifest_no_characters_has_unknown_rate_zero() -> None:
    counts = SplitManifest.of(SplitLayout(2, 1, 4), documents=2, characters=0, unknown=0)
    assert counts.unknown_rate == pytest.approx(0)
