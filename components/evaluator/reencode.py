"""Held-out documents in the numbers of another vocabulary: that of a model which was trained on other data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.documents import Documents, read_features
from components.tasks.example_task import Spec
from components.transform.encoding import Encoder
from components.transform.examples import Examples
from components.transform.graph import TARGET
from components.transform.manifest import Manifest, SplitManifest
from components.transform.raw_examples import CountTokens, RawExamples, count_blank_words
from components.transform.records import token_dtype
from components.transform.shards import SHARD_BYTES, shard_specs, write_shard
from components.transform.text_blocks import BLOCK_BYTES, block_ranges, encode_block
from components.transform.tokenizers import SETTINGS, Tokenizer, load

SPLIT = "eval"


def encode_stream(examples: Path, tokenizer: Tokenizer) -> np.ndarray:
    """The token stream of the eval split, `<end> c1 … cn <end> … <end>`: integers [tokens]."""
    documents = Documents.splits(examples)[SPLIT]
    blocks = block_ranges(documents, tokenizer.is_local, BLOCK_BYTES)
    pieces = [encode_block(documents, start, stop, tokenizer) for start, stop in blocks]
    return np.concatenate([*pieces, np.full(1, tokenizer.end)])


def encode_examples(examples: Path, graph: Path, folder: Path) -> Examples:
    """Writes the eval split's features as Transform would with the vocabulary of `graph`, and opens them.

    Args:
        examples: The documents.
        graph: A `TransformGraph` of examples.
        folder: An empty folder.

    Raises:
        KeyError: A document is of a class that the graph does not know.
    """
    features, documents = read_features(examples), Documents.splits(examples)[SPLIT]
    folders = {"text": graph, "target": graph / TARGET}
    tokenizers = {name: load(path) for name, path in folders.items() if (path / SETTINGS).is_file()}
    classes = {name: names for name, names in Spec.read(graph).classes.items() if name in features}
    text = tokenizers.get("text")
    words = CountTokens(text.options) if text is not None and text.kind == "word" else count_blank_words
    corpus = RawExamples({SPLIT: documents}, features, words)
    encoder = Encoder(features, tokenizers, classes)
    (folder / f"Split-{SPLIT}").mkdir()
    (folder / f"Split-{SPLIT}" / "documents.jsonl").symlink_to((documents.folder / "documents.jsonl").resolve())
    for spec in shard_specs(SPLIT, documents, corpus.starts(SPLIT), SHARD_BYTES):
        dtypes = {name: info.stored for name, info in encoder.infos.items()}
        rows = (
            {**raw, "array": documents.array(raw["document"], features["array"])} if "array" in features else raw
            for raw in corpus.read(spec)
        )
        write_shard(spec, dtypes, map(encoder.encode, rows), folder / f"Split-{SPLIT}")
    size = len(text) if text is not None else 0
    splits = {SPLIT: SplitManifest.of_examples(len(documents), documents.characters, 0, 0)}
    Manifest(size, 1, token_dtype(size).name, splits, "examples", encoder.infos).save(folder)
    return Examples(folder, SPLIT)
