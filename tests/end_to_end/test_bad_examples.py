"""A bad example of each kind in a recipe's data: it stops the run, or is left out, and is named either way."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from components.example_gen.datasets.locate import ROOT_VARIABLE
from tests.components.example_gen.datasets import raw
from tests.end_to_end import small_sets
from tests.end_to_end.command_line import command, output, run_json

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Bad:
    """A recipe whose data set has one bad example.

    Attributes:
        recipe: Its name.
        documents: In the data set, the bad one among them.
        place: Where the message says it is.
        rule: What the message says it must be, or why it is not.
        file: What `bad_records.jsonl` says it is in.
    """

    recipe: str
    documents: int
    place: str
    rule: str
    file: str


def _empty_sentence(folder: Path) -> Bad:
    small_sets.reviews(folder)
    with (folder / "sentence_polarity/rt-polarity.neg").open("a", encoding="utf-8") as file:
        file.write(" \ncold again\n")
    return Bad("sentiment", 82, "rt-polarity.neg, line 41, byte offset ", "an empty line", "rt-polarity.neg")


def _source_without_target(folder: Path) -> Bad:
    small_sets.captions_in_french(folder)
    path = folder / "multi30k_en_fr/train.fr.gz"
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join([*lines[:4], b"\n", *lines[5:]])))
    rule = "each text must have a target"
    return Bad("translation", 97, "train.en.gz, line 5, byte offset ", rule, "train.en.gz")


def _image_of_the_wrong_size(folder: Path) -> Bad:
    small_sets.emoji(folder)
    (folder / "twemoji_32px/images/3.png").write_bytes(raw.png(np.zeros((32, 31, 3), np.uint8)))
    return Bad("captions", 40, "names.tsv, line 5, byte offset ", "3.png: RGB of 31 × 32", "names.tsv")


def _broken_image_file(folder: Path) -> Bad:
    small_sets.emoji(folder)
    path = folder / "twemoji_32px/images/7.png"
    path.write_bytes(path.read_bytes()[:-200])
    return Bad("captions", 40, "names.tsv, line 9, byte offset ", "an image must be whole", "names.tsv")


def _label_that_train_lacks(folder: Path) -> Bad:
    small_sets.digits(folder)
    raw.put(folder, raw.idx(bytes([0, 1, 9, 2])))
    place = "label='9' in the document 't10k-images-idx3-ubyte.gz:3' of test"
    return Bad("pixels", 28, place, "every class of test must occur in train", "t10k-images-idx3-ubyte.gz")


CASES: dict[str, Callable[[Path], Bad]] = {
    "empty sentence": _empty_sentence,
    "source without target": _source_without_target,
    "image of the wrong size": _image_of_the_wrong_size,
    "broken image file": _broken_image_file,
    "label that train lacks": _label_that_train_lacks,
}


@pytest.fixture(params=CASES)
def bad(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bad:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    return CASES[request.param](tmp_path)


def test_bad_example_stops_the_run_and_is_named(bad: Bad, tmp_path: Path) -> None:
    root = tmp_path / "root"
    done = command("run", "--config", bad.recipe, "--root", root, "--to", "transform")
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert (done.returncode, len(errors)) == (1, 1), done.stderr
    assert bad.place in errors[0]
    assert bad.rule in errors[0]
    assert "Traceback" not in done.stderr
    assert not list(root.glob("transform/*"))
    assert not list(root.glob(".tmp/*")), "something half-written was left"


def test_bad_example_is_left_out_and_listed(bad: Bad, tmp_path: Path) -> None:
    skip = ["--set", "example_gen.on_bad_record=skip"]
    summary = run_json("--config", bad.recipe, "--root", tmp_path / "root", "--to", "transform", *skip)
    examples = output(summary, "example_gen", "examples")
    (listed,) = [json.loads(line) for line in (examples / "bad_records.jsonl").read_text("utf-8").splitlines()]
    assert listed["file"] == bad.file
    assert bad.rule in listed["reason"]
    transformed = output(summary, "transform", "transformed_examples")
    kept = [line for path in transformed.glob("Split-*/documents.jsonl") for line in path.read_bytes().splitlines()]
    assert len(kept) == bad.documents - 1
