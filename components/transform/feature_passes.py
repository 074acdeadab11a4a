"""The two Beam passes over documents with features: shards → counts, shards → records.

An element says which documents, and never holds one: the payload stays out of Beam. TensorFlow stays out of the
workers.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.beam_run import ForEach, Meter, run_pipeline
from components.documents import FIELDS, Documents, read_features
from components.transform.beam import Count, read_counts
from components.transform.encoding import Encoder
from components.transform.feature_counts import FeatureCounts, FeatureJob, columns, count_shard
from components.transform.graph import TARGET, save_classes, save_features, save_scaling
from components.transform.manifest import Manifest, SplitManifest
from components.transform.raw_examples import CLASSES, TEXTS, CountTokens, RawExamples, count_blank_words, field
from components.transform.records import FRAME_BYTES, token_dtype
from components.transform.shards import SHARD_BYTES, ShardSpec, shard_specs, write_shard
from components.transform.text_options import TextOptions
from components.transform.vocabulary import block_texts, check_unknown, counting, make_tokenizer
from pipeline.config import TransformConfig


@dataclasses.dataclass(frozen=True)
class WriteJob:
    """What the second pass does with every shard.

    Attributes:
        corpus: The documents.
        encoder: Makes numbers of them.
        folder: Where the `Split-S` folders are.
        meter: Is told what is done.
    """

    corpus: RawExamples
    encoder: Encoder
    folder: str
    meter: Meter


def write_examples(spec: ShardSpec, job: WriteJob) -> None:
    """Writes one shard of every feature, whole or not at all."""
    infos = job.encoder.infos
    dtypes = {name: info.stored for name, info in infos.items()}
    sizes = write_shard(spec, dtypes, _examples(spec, job), Path(job.folder) / f"Split-{spec.split}")
    documents = spec.stop - spec.first
    tokens = sum(
        (sizes[name] - documents * FRAME_BYTES) // dtypes[name].itemsize
        for name, info in infos.items()
        if info.kind == "tokens"
    )
    job.meter.add(documents=documents, tokens=tokens, bytes=job.corpus.bytes(spec))


def _examples(spec: ShardSpec, job: WriteJob) -> Iterator[dict[str, np.ndarray]]:
    documents, array = job.corpus.splits[spec.split], job.corpus.features.get("array")
    for raw in job.corpus.read(spec):
        if array is not None:
            raw["array"] = documents.array(raw["document"], array)
        yield job.encoder.encode(raw)


def transform_examples(
    config: TransformConfig, options: Mapping[str, Any], examples: Path, graph: Path, folder: Path
) -> None:
    """Turns documents with features into records.

    Args:
        config: The section `transform`.
        options: Beam's.
        examples: An Examples artifact.
        graph: An empty folder for the TransformGraph.
        folder: An empty folder for the TransformedExamples.

    Raises:
        ValueError: A document is not what its features ask for, or of a class that the train split has not.
    """
    corpus = open_corpus(config, examples)
    specs = {
        split: shard_specs(split, documents, corpus.starts(split), SHARD_BYTES)
        for split, documents in corpus.splits.items()
    }
    elements = [spec for of_split in specs.values() for spec in of_split]
    countings = {
        name: counting(config.of(name), config.specials, _train_texts(corpus.splits["train"], name))
        for name in TEXTS
        if name in corpus.features
    }
    total = sum(corpus.bytes(spec) for spec in elements)
    meter = Meter("transform: count", str(folder / "progress"), total)
    counts_file = graph / "counts.pickle"
    with meter.shown():
        job = FeatureJob(corpus, countings, meter)
        run_pipeline(elements, Count(count_shard, job, FeatureCounts, counts_file), options)
    counts: FeatureCounts = read_counts(counts_file)
    counts.check()

    tokenizers, unknown = {}, {}
    for name, what in countings.items():
        tokenizer = make_tokenizer(config.of(name), config.specials, what, counts.symbols["train", name])
        unknown[name] = {split: tokenizer.unknown_among(counts.symbols[split, name]) for split in corpus.splits}
        check_unknown(unknown[name], config.specials, name)
        tokenizers[name] = tokenizer
    classes = {name: counts.names(name) for name in CLASSES if name in corpus.features}
    encoder = Encoder(corpus.features, tokenizers, classes)

    _save_graph(graph, corpus, encoder, counts)
    for split, documents in corpus.splits.items():
        (folder / f"Split-{split}").mkdir()
        shutil.copyfile(documents.folder / FIELDS, folder / f"Split-{split}" / FIELDS)
    meter = Meter("transform: write", str(folder / "progress"), total)
    with meter.shown():
        write = ForEach("Write examples", write_examples, (WriteJob(corpus, encoder, str(folder), meter),))
        run_pipeline(elements, write, options)

    size = len(tokenizers["text"]) if "text" in tokenizers else 0
    tokens = {split: counts.symbols[split, "text"].total() if size else 0 for split in corpus.splits}
    Manifest(
        vocabulary_size=size,
        window_length=config.window_length,
        dtype=token_dtype(size).name,
        splits={
            split: SplitManifest.of_examples(
                len(documents), documents.characters, tokens[split], unknown["text"][split] if size else 0
            )
            for split, documents in corpus.splits.items()
        },
        records="examples",
        features=encoder.infos,
    ).save(folder)


def open_corpus(config: TransformConfig, examples: Path) -> RawExamples:
    """Opens the documents of an Examples artifact.

    Raises:
        ValueError: They have tags and nothing that these are of.
    """
    features = read_features(examples)
    if "tags" in features and not {"text", "array"} & features.keys():
        raise ValueError(
            "Transform: documents with tags must have text or an array. Received: features "
            f"{', '.join(features)}. Give the documents what the tags are of."
        )
    words = count_blank_words
    if config.tokenizer == "word":
        words = CountTokens(TextOptions(config.normalization, config.lowercase))
    return RawExamples(Documents.splits(examples), features, words)


def _train_texts(train: Documents, feature: str) -> Iterator[str]:
    if feature == "text":
        yield from block_texts(train)
    else:
        for fields in train.fields():
            yield field(fields, feature, "text")


def _save_graph(graph: Path, corpus: RawExamples, encoder: Encoder, counts: FeatureCounts) -> None:
    for name, tokenizer in encoder.tokenizers.items():
        folder = graph if name == "text" else graph / TARGET
        folder.mkdir(exist_ok=True)
        tokenizer.save(folder)
    save_features(graph, encoder.infos)
    for name, names in encoder.classes.items():
        save_classes(graph, name, names)
    if "array" in corpus.features:
        save_scaling(graph, *counts.scaling(columns(corpus.features["array"])))
