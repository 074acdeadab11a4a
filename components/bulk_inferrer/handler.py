"""Apache Beam's RunInference over a signature of a SavedModel: shards of records in, their answers out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from apache_beam.ml.inference.base import ModelHandler

from components.bulk_inferrer.call import SEED, Call
from components.bulk_inferrer.records import Bad, Record
from components.heavy_imports import import_quietly
from components.served.folder import Signature, load_signatures
from components.transform import tokenizers

# Characters of a batch, filled up to its longest record: what is held of a batch grows with them.
_LARGEST_BATCH = 1 << 18
Row = dict[str, Any]


@dataclasses.dataclass
class Shard:
    """Records on their way.

    Attributes:
        number: Which shard of the output it is.
        records: In order.
        size: Bytes of the files that hold them.
        answers: One for each record: `key`, `seed` where there is one, and the signature's outputs as plain Python
            values; or why it has none.
        tokens: How many a language model wrote, or else how many were read.
        classes: What `probabilities` are of, in their order; None where there are none.
    """

    number: int
    records: list[Record | Bad]
    size: int
    answers: list[Row | Bad] = dataclasses.field(default_factory=list)
    tokens: int = 0
    classes: list[bytes] | None = None


@dataclasses.dataclass(frozen=True)
class Model:
    """What a worker has loaded; the tokenizer is None where texts do not go in."""

    signature: Signature
    tokenizer: tokenizers.Tokenizer | None


class SignatureHandler(ModelHandler[Shard, Shard, Model]):
    """Answers records, in batches that are a matter of their shard alone.

    Beam's own batches differ with workers and bundles; so an element is a whole shard, and Beam is told to join none.

    Args:
        call: What is called.
        batch_size: Records of a call at most.
    """

    def __init__(self, call: Call, batch_size: int) -> None:
        super().__init__(max_batch_size=1)
        self._call = call
        self._batch_size = batch_size

    def load_model(self) -> Model:
        """Loads the SavedModel; Beam keeps it for all shards of a process."""
        assets = self._call.folder / "assets"
        has_tokenizer = (assets / tokenizers.SETTINGS).is_file()
        return Model(
            load_signatures(self._call.folder)[self._call.signature],
            tokenizers.load(assets) if has_tokenizer else None,
        )

    def run_inference(
        self, batch: Sequence[Shard], model: Model, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Shard]:
        """Yields the shards with their rows."""
        for shard in batch:
            # A record that is bad already keeps its place.
            answers: dict[int, Row | Bad] = {n: bad for n, bad in enumerate(shard.records) if isinstance(bad, Bad)}
            good = {n: record for n, record in enumerate(shard.records) if isinstance(record, Record)}
            for numbers in batches({n: record.text for n, record in good.items()}, self._batch_size):
                found = self._answers(model, [good[n] for n in numbers], shard)
                answers |= zip(numbers, found, strict=True)
            shard.answers = [answers[n] for n in range(len(shard.records))]
            yield shard

    def get_num_bytes(self, batch: Sequence[Shard]) -> int:
        """Bytes of text, about."""
        return sum(len(each.text) for shard in batch for each in shard.records if isinstance(each, Record))

    def get_metrics_namespace(self) -> str:
        """Where Beam counts what was inferred."""
        return "bulk_inferrer"

    def _answers(self, model: Model, records: list[Record], shard: Shard) -> list[Row | Bad]:
        """An answer for each record; one that the graph refuses costs no other its own."""
        tf = import_quietly("tensorflow")
        try:
            rows = list(self._rows(tf, model.signature, records, shard))
        except tf.errors.InvalidArgumentError as error:
            if len(records) == 1:
                return [Bad(records[0].file, records[0].line, " ".join(error.message.split()))]
            middle = len(records) // 2
            return self._answers(model, records[:middle], shard) + self._answers(model, records[middle:], shard)
        shard.tokens += sum(_tokens(model, self._call, *pair) for pair in zip(records, rows, strict=True))
        return list(rows)

    def _rows(self, tf: Any, signature: Signature, records: list[Record], shard: Shard) -> Iterator[Row]:
        inputs: Row = {name: [value] for name, value in self._call.options.items()}
        heads: list[Row] = [{"key": record.key} for record in records]
        if self._call.seed is not None:
            inputs[SEED] = [self._call.seed_of(record.key) for record in records]
            heads = [{**head, SEED: seed} for head, seed in zip(heads, inputs[SEED], strict=True)]
        inputs[self._call.record] = [record.text for record in records]
        specs = signature.inputs
        outputs = signature(**{name: tf.constant(value, specs[name].dtype) for name, value in inputs.items()})
        found = {name: outputs[name].numpy() for name in sorted(outputs)}
        if "classes" in found:
            shard.classes = found.pop("classes")[0].tolist()  # the same in each row
        lengths = np.count_nonzero(found["tags"] != b"", axis=1) if "tags" in found else None
        for number, head in enumerate(heads):
            row = {name: _own(values, number, len(heads)) for name, values in found.items()}
            if lengths is not None:
                row = {name: values[: lengths[number]] for name, values in row.items()}
            yield head | row


def batches(texts: Mapping[int, str], rows: int) -> Iterator[list[int]]:
    """Yields the numbers of texts that make a batch: those of like length, since all are filled up to the longest."""
    batch: list[int] = []
    for number in sorted(texts, key=lambda number: len(texts[number])):
        if batch and (len(batch) == rows or (len(batch) + 1) * len(texts[number]) > _LARGEST_BATCH):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _own(values: np.ndarray, number: int, count: int) -> Any:
    """What of an output is a record's: one value, or a list where the signature answers each several times."""
    each = len(values) // count
    own = values[number * each : (number + 1) * each].tolist()
    return own[0] if each == 1 else own


def _tokens(model: Model, call: Call, record: Record, answer: Row) -> int:
    """Tokens that a language model wrote, or else those that were read."""
    if "tokens" in answer:
        return int(np.sum(answer["tokens"]))
    if model.tokenizer is None:
        return 0
    read = len(model.tokenizer.encode(record.text))
    # Only a language model draws; what it writes goes on from the record.
    return read if call.seed is None else len(model.tokenizer.encode(answer["text"].decode("utf-8", "replace"))) - read
