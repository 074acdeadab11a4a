"""Two tokenizers in one SavedModel: each keeps its ids, and its files keep their names."""

import gc
import json
from pathlib import Path

import tensorflow as tf

from components.exporter.text import GraphTokenizer
from components.transform.graph import TARGET
from components.transform.text_options import TextOptions
from components.transform.tokenizers import IDENTITY, CharTokenizer, WordTokenizer, load
from tests.components.exporter.tokenizers_in_graph import STRINGS, traced

TEXT = CharTokenizer(("end", "unk"), TextOptions("NFC", lowercase=True), " abcé")
WORDS = WordTokenizer(("unk", "end"), IDENTITY, ("cab", "a", "é"))


def saved(folder: Path) -> Path:
    """A SavedModel that reads a text as both would, made of a TransformGraph."""
    (folder / TARGET).mkdir()
    TEXT.save(folder)
    WORDS.save(folder / TARGET)
    module = tf.Module()
    # The second one first: names must not depend on the order.
    module.target = GraphTokenizer(folder / TARGET, "target_")
    module.text = GraphTokenizer(folder)

    def both(text):
        rows = {name: getattr(module, name).encode(text) for name in ("text", "target")}
        parts = {f"{name}_values": row.flat_values for name, row in rows.items()}
        return parts | {f"{name}_lengths": row.row_lengths() for name, row in rows.items()}

    tf.saved_model.save(module, str(folder / "saved"), signatures={"both": traced(both, STRINGS)})
    return folder / "saved"


def test_two_tokenizers_assets_have_distinct_names_and_load_again(tmp_path):
    model = saved(tmp_path)
    names = {path.name for path in (model / "assets").iterdir()}
    assert names == {"vocabulary.tsv", "tokenizer.json", "target_vocabulary.tsv", "target_tokenizer.json"}
    for prefix, tokenizer in (("", TEXT), ("target_", WORDS)):
        copy = tmp_path / f"copy{prefix}"
        copy.mkdir()
        for name in ("vocabulary.tsv", "tokenizer.json"):
            (copy / name).write_bytes((model / "assets" / (prefix + name)).read_bytes())
        assert load(copy) == tokenizer
    assert json.loads((model / "assets" / "tokenizer.json").read_text("utf-8"))["kind"] == "char"  # guard


def test_two_tokenizers_give_their_own_ids_in_another_process(tmp_path, client):
    texts = ["", "cab é", "É cab x a", "A a"]
    outputs = client.ask("call", str(saved(tmp_path)), "both", {"text": texts})
    for name, tokenizer in (("text", TEXT), ("target", WORDS)):
        ids = [tokenizer.encode(text).tolist() for text in texts]
        assert outputs[f"{name}_lengths"].tolist() == [len(row) for row in ids]
        assert outputs[f"{name}_values"].tolist() == [i for row in ids for i in row]


def test_tokenizer_with_a_prefix_leaves_no_copy_behind(tmp_path, monkeypatch):
    copies = tmp_path / "copies"
    copies.mkdir()
    WORDS.save(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(copies))
    tokenizer = GraphTokenizer(tmp_path, "target_")
    assert [path.name for path in sorted(copies.rglob("*_*.tsv"))] == ["target_vocabulary.tsv"]
    del tokenizer
    gc.collect()
    assert list(copies.iterdir()) == []
