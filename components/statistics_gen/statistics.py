"""Statistics as TensorFlow Data Validation has them: written as `FeatureStats.pb`, and read back.

The features are `text`, `text.length` (characters of each document) and the fields of the documents. What the message
has no place for is in the `custom_stats` of `text`: the numbers of `NUMBERS`, and the rank histograms
`character_counts` (every character) and `script_counts`. Documents without text have the feature `document` instead of
the first two; its `custom_stats` are the numbers of `OF_ANY_DOCUMENT`.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import statistics_pb2 as pb

from components.statistics_gen.characters import INVALID, KINDS, kind

TEXT, LENGTH, DOCUMENT = "text", "text.length", "document"
FILE_NAME = "FeatureStats.pb"
# Name → what is counted.
NUMBERS = {
    "bytes": "bytes of UTF-8",
    "characters": "characters",
    "tokens": "tokens of the character tokenizer: the characters, and one <end> a document",
    "words": "words: what whitespace separates",
    "distinct_characters": "different characters",
    "distinct_words": "different words",
    "unknown_characters": "characters that never occur in train",
    "unknown_words": "words that never occur in train",
    "empty_documents": "documents without a character",
    "shortest_document": "characters of the shortest document that is not empty",
    "duplicated_documents": "documents that repeat an earlier one of the split, empty ones not counted",
    "leaked_documents": "documents that train holds, too, empty ones not counted",
    "same_as_train": "1 if the documents are those of train, all of them (splits: same), else 0",
    **{f"{name}_characters": f"{name.replace('_', ' ')} characters" for name in KINDS},
    **{f"{name}_documents": f"documents with {name.replace('_', ' ')} characters" for name in KINDS},
    "not_nfc_documents": "documents not in Unicode's normal form NFC",
    "not_nfkc_documents": "documents not in Unicode's normal form NFKC",
}
# Those that documents without text have, too; they count all documents then.
OF_ANY_DOCUMENT = ("duplicated_documents", "leaked_documents", "same_as_train")


class SplitStatistics:
    """The statistics of one split, as stages and the page read them.

    Args:
        message: What `FeatureStats.pb` holds of the split.

    Attributes:
        has_text: Whether its documents have text; without, everything about characters is 0 or empty.
    """

    def __init__(self, message: pb.DatasetFeatureStatistics) -> None:
        self._features = {feature.name: feature for feature in message.features}
        self.has_text = message.features[0].name == TEXT  # ours come before the fields
        self._custom = {stat.name: stat for stat in self._features[self.whole].custom_stats}
        self.name = message.name
        self.documents = int(message.num_examples)

    @property
    def whole(self) -> str:
        """Name of the feature that stands for the whole document."""
        return TEXT if self.has_text else DOCUMENT

    def __getitem__(self, name: str) -> int:
        """One of `NUMBERS`."""
        return int(self._custom[name].num) if self.has_text or name in OF_ANY_DOCUMENT else 0

    def share(self, name: str, of: str) -> float:
        """One of `NUMBERS` divided by another, or by `documents`; 0 where there is nothing to divide."""
        whole = self.documents if of == "documents" else self[of]
        return self[name] / whole if whole else 0.0

    @cached_property
    def characters(self) -> dict[str, int]:
        """Every character → how often, the most frequent first."""
        return _ranked(self._custom["character_counts"].rank_histogram) if self.has_text else {}

    @cached_property
    def scripts(self) -> dict[str, int]:
        """Script → number of characters, the most frequent first."""
        return _ranked(self._custom["script_counts"].rank_histogram) if self.has_text else {}

    @cached_property
    def words(self) -> dict[str, int]:
        """The most frequent words → how often."""
        return _ranked(self._features[TEXT].string_stats.rank_histogram) if self.has_text else {}

    @property
    def lengths(self) -> pb.NumericStatistics:
        """Characters of the documents."""
        return self._features[LENGTH].num_stats if self.has_text else pb.NumericStatistics()

    @cached_property
    def fields(self) -> dict[str, pb.FeatureNameStatistics]:
        """Feature of each field of the documents, by name."""
        ours = (TEXT, LENGTH) if self.has_text else (DOCUMENT,)
        return {name: feature for name, feature in self._features.items() if name not in ours}

    @property
    def invalid(self) -> dict[str, int]:
        """The characters no text should hold → how often, the most frequent first."""
        return {character: count for character, count in self.characters.items() if kind(character) in INVALID}


def common(feature: pb.FeatureNameStatistics) -> pb.CommonStatistics:
    """The counts of present and missing values, wherever the type of a feature keeps them."""
    return getattr(feature, feature.WhichOneof("stats")).common_stats


def field_values(feature: pb.FeatureNameStatistics) -> dict[str, int]:
    """The most frequent values of a field → how often; fractions are not counted one by one."""
    if feature.HasField("string_stats"):
        return _ranked(feature.string_stats.rank_histogram)
    return next((_ranked(s.rank_histogram) for s in feature.custom_stats if s.name == "values"), {})


def custom_number(feature: pb.FeatureNameStatistics, name: str) -> int:
    """One of the numbers in a feature's `custom_stats`; 0 where it has none of that name."""
    return int(next((stat.num for stat in feature.custom_stats if stat.name == name), 0))


def _ranked(histogram: pb.RankHistogram) -> dict[str, int]:
    counts: Counter[str] = Counter()  # the number 3 and the text "3" have the same label
    for bucket in histogram.buckets:
        counts[bucket.label] += int(bucket.sample_count)
    return dict(counts)


# ---- Files ----------------------------------------------------------------------------------------------------------


def save(folder: Path, message: pb.DatasetFeatureStatistics) -> None:
    """Writes `Split-S/FeatureStats.pb` for the split that the message is named after."""
    path = folder / f"Split-{message.name}" / FILE_NAME
    path.parent.mkdir()
    path.write_bytes(pb.DatasetFeatureStatisticsList(datasets=[message]).SerializeToString(deterministic=True))


def load(folder: Path) -> dict[str, SplitStatistics]:
    """Split → its statistics, for every `Split-S` folder of an ExampleStatistics artifact, by name.

    Raises:
        ValueError: There is none, or a file is no message of that kind.
    """
    found = {}
    for path in sorted(folder.glob(f"Split-*/{FILE_NAME}")):
        message = pb.DatasetFeatureStatisticsList()
        try:
            message.ParseFromString(path.read_bytes())
            split = SplitStatistics(message.datasets[0])
        except (DecodeError, IndexError, KeyError) as error:
            raise _unreadable(path) from error
        found[path.parent.name.removeprefix("Split-")] = split
    if not found:
        raise _unreadable(folder)
    return found


def _unreadable(path: Path) -> ValueError:
    return ValueError(
        f"Statistics: a folder must hold Split-S/{FILE_NAME} of the stage statistics_gen. Received: {path}. "
        "Run statistics_gen again."
    )
