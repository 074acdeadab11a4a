"""Real corpora, if they are at hand: compressed lines in given splits, and tables with fields to keep."""

import csv
import gzip
from pathlib import Path

from tests.components.example_gen.corpora import documents, fields, generate
from tests.real_sets import DATA, files_at_hand


def test_multi30k_compressed_lines_in_the_splits_that_files_name(tmp_path: Path) -> None:
    paths = files_at_hand("multi30k_en_fr/*.fr.gz")
    examples = generate(tmp_path / "out", f"text:{DATA}/multi30k_en_fr/*.fr.gz", "given", document="line")
    for split, word in (("train", "train"), ("eval", "val"), ("test", "test")):
        expected = [
            line
            for path in paths
            if path.name.startswith(word)
            for line in gzip.decompress(path.read_bytes()).split(b"\n")[:-1]
        ]
        found = documents(examples, split)
        assert [text for _, text in found] == expected
        assert found[0][0].endswith(".fr.gz:1")
    assert [len(documents(examples, split)) for split in ("train", "eval", "test")] == [29_000, 1_014, 2_461]


def test_captions_of_a_table_keep_their_other_columns(tmp_path: Path) -> None:
    (path,) = files_at_hand("tuxpaint_stamps_64px/captions.tsv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    examples = generate(tmp_path / "out", f"tsv:{path}", fields={"text": "ja", "id": "image"})
    assert documents(examples) == [(row["image"], row["ja"].encode()) for row in rows]
    assert [entry["zh_CN"] for entry in fields(examples)] == [row["zh_CN"] for row in rows]
    assert len(rows) > 500
