"""What tasks that write text have in common: a context for each example, a writer, and judging what it writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from components.metrics.bleu import bleu, bleu_counts, bleu_signature
from components.metrics.bootstrap import Measured, measure, ratio
from components.metrics.report import figures_table
from components.metrics.sequences import closest_references, error_counts, exact_matches, length_counts, token_counts
from components.metrics.task_baselines import most_frequent_output
from components.tasks.encoding import initializer_argument
from components.tasks.example_task import ExampleModel, Judgement, Spec, Split
from components.tasks.task import Loss
from components.tasks.writer import Writer
from components.transform.examples import Examples
from components.transform.tokenizers import Tokenizer
from components.transform.words import split_words
from pipeline.config import ModelConfig

_SHOWN = 5


class GeneratingModel(ExampleModel):
    """A model whose `writer` writes a text from the context of each example.

    Attributes:
        writer: Made by the subclass.
    """

    targets: ClassVar[tuple[str, ...]] = ("target",)
    writer: Writer

    def context_of(self, features: Mapping[str, Any], lengths: Mapping[str, Any], training: bool = False) -> Any:
        """Returns C, float [batch, width]."""
        raise NotImplementedError(f"{type(self).__name__} must override context_of().")

    def loss_of(
        self, batch: Any, states: Sequence[Any] = (), training: bool = True, context: int = 0, probes: Any = None
    ) -> Loss:
        """Sums what it costs to write the target of each example, see `Writer.loss_of`."""
        c = self.context_of(batch.features, batch.lengths, training=training)
        lengths = batch.lengths["target"]
        total, count, positions = self.writer.loss_of(c, batch.features["target"], lengths, batch.weights, training)
        return Loss(total, count, positions, [])

    def predict_batch(self, features: Mapping[str, Any], lengths: Mapping[str, Any]) -> dict[str, Any]:
        """Writes a text for each example greedily; see `search`."""
        return self.search(features, lengths, width=1)

    def search(
        self, features: Mapping[str, Any], lengths: Mapping[str, Any], width: int, active_width: Any = None
    ) -> dict[str, Any]:
        """Writes a text for each example; traceable.

        Args:
            features, lengths: As in `predict_batch`.
            width, active_width: Of the beam, see `Writer.write`.

        Returns:
            `text`, token ids int32 [batch, max_length]; their `lengths` int32 [batch]; `log_prob` float32 [batch];
            `finished` bool [batch].
        """
        written = self.writer.write(self.context_of(features, lengths), width, active_width)
        return {
            "text": written.tokens,
            "lengths": written.lengths,
            "log_prob": written.log_prob,
            "finished": written.finished,
        }

    @classmethod
    def judge(cls, split: Split, train: Examples, spec: Spec) -> Judgement:
        """Exact match, right tokens, error rate, lengths, BLEU of words; beside the most frequent text, and a copy."""
        tokenizer = spec.tokenizers["target"]
        predictions = split.predictions
        written = [
            tokenizer.decode(ids[:n]) for ids, n in zip(predictions["text"], predictions["lengths"], strict=True)
        ]
        fields = list(split.examples.fields())
        references = [
            [tokenizer.options.apply(text) for text in known.get("references", [known["target"]])] for known in fields
        ]
        metrics = text_metrics(tokenizer, written, references)
        finished = np.asarray(predictions["finished"], np.int64)
        metrics["finished"] = measure(np.stack([finished, np.ones_like(finished)], axis=1), ratio)
        frequent = most_frequent_output([known["target"] for known in train.fields()])
        texts = {"most frequent": [tokenizer.options.apply(frequent)] * len(written)}
        (read,) = cls.input_names(list(spec.features))
        source = spec.tokenizers.get(read)
        if source is not None and source.kind == tokenizer.kind:
            rows = (split.examples.read(read, i) for i in range(len(split.examples)))
            texts["copy"] = [source.decode(ids) for ids in rows]
        baselines = {
            name: {metric: found.value for metric, found in text_metrics(tokenizer, each, references).items()}
            for name, each in texts.items()
        }
        shown = [
            f"  {known['id']}: {text!r}; right: {right[0]!r}"
            for known, text, right in zip(fields[:_SHOWN], written, references, strict=False)
        ]
        notes = {"bleu_signature": bleu_signature(references)} if "bleu" in metrics else {}
        lines = [figures_table(metrics, baselines), *(f"{name}: {note}" for name, note in notes.items()), *shown]
        return Judgement(metrics, baselines, "\n".join(lines) + "\n", notes)


def text_metrics(
    tokenizer: Tokenizer, written: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, Measured]:
    """Figures of texts with their intervals.

    Args:
        tokenizer: Of the texts: the error rate is of its words, or of characters.
        written: What was written for each example.
        references: All right texts of each example. Right tokens, errors and lengths are those beside the closest.
    """
    is_words = tokenizer.kind == "word"

    def tokens(text: str) -> list[str]:
        return split_words(text) if is_words else list(text)

    made, right = [tokens(text) for text in written], [[tokens(text) for text in each] for each in references]
    closest = closest_references(made, right)
    lengths = length_counts(np.array([len(each) for each in made]), np.array([len(each) for each in closest]))
    metrics = {
        "exact_match": measure(exact_matches(made, right), ratio),
        "token_accuracy": measure(token_counts(made, closest), ratio),
        "error_rate": measure(error_counts(made, right), ratio),
        **{name: measure(counts, ratio) for name, counts in lengths.items()},
    }
    if is_words:
        metrics["bleu"] = measure(bleu_counts(written, references), bleu)
    return metrics


def writer_arguments(config: ModelConfig, spec: Spec, seed: int) -> dict[str, Any]:
    """Arguments of `Writer` for the feature `target`, as JSON, but for the context's width."""
    tokenizer = spec.tokenizers["target"]
    return {
        "vocabulary_size": len(tokenizer),
        "end": tokenizer.end,
        "banned": list(tokenizer.unsampled),
        "units": config.units,
        "layers": config.layers,
        "embedding": config.embedding or config.units,
        "activation": config.activation,
        "context": config.context,
        "stop": config.stop,
        "max_length": spec.longest["target"] + 1,
        "recurrent_initializer": initializer_argument(config),
        "input_dropout": config.dropout.input,
        "recurrent_dropout": config.dropout.recurrent,
        "output_dropout": config.dropout.output,
        "seed": seed,
    }
