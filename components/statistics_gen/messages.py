"""Summaries as messages of TensorFlow Data Validation: what `FeatureStats.pb` holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2 as pb

from components.statistics_gen.characters import KINDS, kind, script
from components.statistics_gen.statistics import DOCUMENT, LENGTH, NUMBERS, OF_ANY_DOCUMENT, TEXT
from components.statistics_gen.summary import FieldSummary, SplitSummary

_TOP_VALUES = 20
_BUCKETS = 20
_QUANTILES = 10
# From here on a histogram of equal steps would crowd most documents into its first bar.
_WIDE = 30


def messages(summaries: Mapping[str, SplitSummary]) -> list[pb.DatasetFeatureStatistics]:
    """Turns summaries into messages, in order of split; the splits' histograms have the same bars.

    Args:
        summaries: Split → what is known of it; the most frequent words and values are all kept.
    """
    edges = length_edges(np.concatenate([summary.lengths for summary in summaries.values()]))
    trained = summaries["train"].characters if "train" in summaries else Counter[int]()
    # A split that lacks a field altogether has it in all its documents missing.
    fields = sorted({name for summary in summaries.values() for name in summary.fields})
    return [
        pb.DatasetFeatureStatistics(
            name=split,
            num_examples=len(summary.lengths),
            features=[
                *_whole(summary, trained, edges),
                *(_field_feature(name, summary.fields.get(name, FieldSummary()), summary) for name in fields),
            ],
        )
        for split, summary in sorted(summaries.items())
    ]


def _whole(
    summary: SplitSummary, trained: Mapping[int, int], edges: np.ndarray
) -> tuple[pb.FeatureNameStatistics, ...]:
    """What is known of documents besides their fields."""
    if summary.has_text:
        return _text_feature(summary, trained), _length_feature(summary.lengths, edges)
    documents = len(summary.lengths)
    numbers = {
        "duplicated_documents": documents - summary.distinct_documents,
        "leaked_documents": summary.leaked_documents,
        "same_as_train": int(summary.same_as_train),
    }
    return (
        pb.FeatureNameStatistics(
            name=DOCUMENT,
            type=pb.FeatureNameStatistics.STRUCT,
            struct_stats=pb.StructStatistics(common_stats=_common(documents, 0)),
            custom_stats=[pb.CustomStatistic(name=name, num=numbers[name]) for name in OF_ANY_DOCUMENT],
        ),
    )


def length_edges(lengths: np.ndarray) -> np.ndarray:
    """Where the bars of a length histogram begin and end: equal steps, or, for a wide range, equal factors.

    Args:
        lengths: Of all documents of all splits.

    Returns:
        Ascending, float64 [bars + 1]; the first bar of equal factors begins with 0.
    """
    longest = int(lengths.max(initial=1))
    shortest = int(lengths[lengths > 0].min(initial=longest))
    if longest < _WIDE * shortest:
        low = int(lengths.min(initial=longest))
        return np.linspace(low, max(longest, low + 1), 1 + min(_BUCKETS, max(longest - low, 1)))
    inner = np.unique(np.round(np.geomspace(shortest, longest, _BUCKETS)))
    return np.concatenate([[0.0], inner])


def _text_feature(summary: SplitSummary, trained: Mapping[int, int]) -> pb.FeatureNameStatistics:
    documents, characters = len(summary.lengths), int(summary.lengths.sum())
    empty = int((summary.lengths == 0).sum())
    scripts: Counter[str] = Counter()
    kinds: Counter[str | None] = Counter()
    for code, count in summary.characters.items():
        scripts[script(chr(code))] += count
        kinds[kind(chr(code))] += count
    numbers = {
        "bytes": summary.bytes,
        "characters": characters,
        "tokens": characters + documents,
        "words": summary.words.total,
        "distinct_characters": len(summary.characters),
        "distinct_words": summary.words.distinct,
        "unknown_characters": sum(n for code, n in summary.characters.items() if code not in trained),
        "unknown_words": summary.words.unknown,
        "empty_documents": empty,
        "shortest_document": int(summary.lengths[summary.lengths > 0].min(initial=characters)),
        "duplicated_documents": documents - empty - summary.distinct_documents,
        "leaked_documents": summary.leaked_documents,
        "same_as_train": int(summary.same_as_train),
        **{f"{name}_characters": kinds[name] for name in KINDS},
        **{f"{name}_documents": summary.documents[name] for name in (*KINDS, "not_nfc", "not_nfkc")},
    }
    custom = [pb.CustomStatistic(name=name, num=numbers[name]) for name in NUMBERS]
    custom += [
        pb.CustomStatistic(name=name, rank_histogram=_rank_histogram(_by_frequency(counts)))
        for name, counts in (
            ("character_counts", {chr(code): count for code, count in summary.characters.items()}),
            ("script_counts", scripts),
        )
    ]
    return pb.FeatureNameStatistics(
        name=TEXT,
        type=pb.FeatureNameStatistics.STRING,
        string_stats=pb.StringStatistics(
            common_stats=_common(documents, 0),
            unique=summary.distinct_documents + (1 if empty else 0),
            avg_length=characters / documents if documents else 0.0,
            top_values=_top(summary.words.top),
            rank_histogram=_rank_histogram(summary.words.top),
        ),
        custom_stats=custom,
    )


def _length_feature(lengths: np.ndarray, edges: np.ndarray) -> pb.FeatureNameStatistics:
    stats = pb.NumericStatistics(common_stats=_common(len(lengths), 0), num_zeros=int((lengths == 0).sum()))
    if len(lengths):
        stats.mean, stats.std_dev = float(lengths.mean()), float(lengths.std())
        stats.min, stats.median, stats.max = float(lengths.min()), float(np.median(lengths)), float(lengths.max())
        counts, _ = np.histogram(lengths, edges)
        quantiles = np.quantile(lengths, np.linspace(0, 1, _QUANTILES + 1))
        stats.histograms.extend(
            [
                _histogram(pb.Histogram.STANDARD, edges, counts),
                _histogram(pb.Histogram.QUANTILES, quantiles, [len(lengths) / _QUANTILES] * _QUANTILES),
            ]
        )
    return pb.FeatureNameStatistics(name=LENGTH, type=pb.FeatureNameStatistics.INT, num_stats=stats)


def _field_feature(name: str, summary: FieldSummary, split: SplitSummary) -> pb.FeatureNameStatistics:
    documents = len(split.lengths)
    present, types = summary.types.total(), set(summary.types)
    # A field of the documents may be called like a feature of ours.
    ours = (TEXT, LENGTH) if split.has_text else (TEXT, LENGTH, DOCUMENT)
    feature = pb.FeatureNameStatistics(name=f"fields.{name}" if name in ours else name)
    values = [(_label(key), count) for key, count in summary.values.top]
    if types and types <= {"integer", "true_false", "fraction"}:
        numbers = summary.numbers
        feature.type = pb.FeatureNameStatistics.FLOAT if "fraction" in types else pb.FeatureNameStatistics.INT
        feature.num_stats.common_stats.CopyFrom(_common(present, documents - present))
        feature.num_stats.mean, feature.num_stats.std_dev = numbers.mean, numbers.std
        feature.num_stats.min, feature.num_stats.max = numbers.min, numbers.max
        feature.num_stats.num_zeros = numbers.zeros
        if "fraction" not in types:
            feature.custom_stats.add(name="values", rank_histogram=_rank_histogram(values))
    elif types == {"other"}:
        feature.type = pb.FeatureNameStatistics.STRUCT
        feature.struct_stats.common_stats.CopyFrom(_common(present, documents - present))
    else:
        feature.type = pb.FeatureNameStatistics.STRING
        feature.string_stats.common_stats.CopyFrom(_common(present, documents - present))
        feature.string_stats.avg_length = summary.characters / present if present else 0.0
        feature.string_stats.top_values.extend(_top(values))
        feature.string_stats.rank_histogram.CopyFrom(_rank_histogram(values))
        feature.string_stats.unique = summary.values.distinct
    feature.custom_stats.extend(
        pb.CustomStatistic(name=f"values_{kind}", num=count) for kind, count in sorted(summary.types.items())
    )
    feature.custom_stats.add(name="distinct_values", num=summary.values.distinct)
    return feature


def _label(key: str) -> str:
    """A text as it is, any other value as JSON writes it."""
    value = json.loads(key)
    return value if isinstance(value, str) else key


def _common(present: int, missing: int) -> pb.CommonStatistics:
    one = int(present > 0)  # each document has one value
    return pb.CommonStatistics(
        num_non_missing=present,
        num_missing=missing,
        min_num_values=one,
        max_num_values=one,
        avg_num_values=one,
        tot_num_values=present,
    )


def _by_frequency(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _top(values: Sequence[tuple[str, int]]) -> list[pb.StringStatistics.FreqAndValue]:
    return [pb.StringStatistics.FreqAndValue(value=value, frequency=count) for value, count in values[:_TOP_VALUES]]


def _rank_histogram(values: Sequence[tuple[str, int]]) -> pb.RankHistogram:
    return pb.RankHistogram(
        buckets=[
            pb.RankHistogram.Bucket(low_rank=rank, high_rank=rank, label=value, sample_count=count)
            for rank, (value, count) in enumerate(values)
        ]
    )


def _histogram(kind: int, edges: Iterable[float], counts: Iterable[float]) -> pb.Histogram:
    edges = [float(edge) for edge in edges]
    return pb.Histogram(
        type=kind,
        buckets=[
            pb.Histogram.Bucket(low_value=low, high_value=high, sample_count=float(count))
            for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
        ],
    )
