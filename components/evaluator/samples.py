"""What the model writes: texts at three temperatures and what they copied, or its answers to a few examples."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components.novelty import Corpus
from components.tasks.example_task import Spec
from components.tasks.generating import GeneratingModel
from components.tasks.language_model import LanguageModel
from components.tasks.task import TaskModel
from components.trainer.backend import compile_inference
from components.trainer.samples import sampler
from components.transform.examples import Examples
from components.transform.stream import read_stream
from components.transform.tokenizers import Tokenizer, load

TEMPERATURES = (0.5, 0.8, 1.0)
_SEED = 0
_EXAMPLES = 8
# Tokens of the training text that are searched at a time: it takes some fifty bytes for each.
_BLOCK = 2**22


def samples_of(model: TaskModel, graph: Path, examples: Path, beam_width: int) -> dict[str, Any]:
    """Lets the model write, if it is of a task that does.

    Args:
        model: What is evaluated.
        graph: A `TransformGraph`.
        examples: `TransformedExamples` of it.
        beam_width: Of models that write a text for an example.

    Returns:
        Of a language model `texts`: for each of the `TEMPERATURES` {"temperature", "text", "copied": the longest span
        of it that is in the training text, too}. Of a model that answers examples with texts `examples`, a few of eval:
        {"id", "input" (null if it is no text), "picture" (PNG in base64; null if it is none), "right": [texts],
        "written"}. Of others {}.
    """
    if isinstance(model, LanguageModel):
        tokenizer = load(graph)
        write = sampler(model, tokenizer)
        texts = [write(_SEED, temperature) for temperature in TEMPERATURES]
        copies = longest_copies(texts, read_stream(examples, "train", tokenizer.end), tokenizer)
        rows = zip(TEMPERATURES, texts, copies, strict=True)
        return {"texts": [{"temperature": heat, "text": text, "copied": copy} for heat, text, copy in rows]}
    if isinstance(model, GeneratingModel):
        return {"examples": list(_answers(model, Spec.read(graph), Examples(examples, "eval"), beam_width))}
    return {}


def longest_copies(texts: Sequence[str], stream: np.ndarray, tokenizer: Tokenizer) -> list[str]:
    """Finds the longest span of each text that a stream of tokens holds, too.

    Args:
        texts: What a model wrote.
        stream: Of the train split, `<end> c1 … cn <end> …`: no text holds `<end>`, so no span is of two documents.
        tokenizer: Of the model.
    """
    longest = [""] * len(texts)
    # A token is a byte at least: what begins in one block and ends in the next is whole in one of them.
    overlap = max(len(text.encode()) for text in texts)
    for start in range(0, len(stream), _BLOCK):
        block = Corpus({"train": tokenizer.decode(stream[start : start + _BLOCK + overlap])})
        found = [block.longest_copy(text).span for text in texts]
        longest = [max(pair, key=len) for pair in zip(longest, found, strict=True)]
    return longest


def _answers(model: GeneratingModel, spec: Spec, examples: Examples, beam_width: int) -> Iterator[dict[str, Any]]:
    names = model.input_names(list(spec.features))
    search = compile_inference(model, lambda features, lengths: model.search(features, lengths, beam_width))
    batch = next(examples.batches(_EXAMPLES, _SEED, features=names))
    found = {name: np.asarray(value) for name, value in search(batch.features, batch.lengths).items()}
    known, target = list(examples.fields()), spec.tokenizers["target"]
    for row, number in enumerate(batch.examples.tolist()):
        if number >= 0:
            fields, read = known[number], examples.read(names[0], number)
            yield {
                "id": fields["id"],
                "input": _as_text(names[0], read, spec),
                "picture": _as_picture(read),
                "right": fields.get("references", [fields["target"]]),
                "written": target.decode(found["text"][row, : found["lengths"][row]]),
            }


def _as_text(feature: str, numbers: np.ndarray, spec: Spec) -> str | None:
    if feature in spec.tokenizers:
        return spec.tokenizers[feature].decode(numbers)
    return spec.classes[feature][int(numbers)] if feature in spec.classes else None


def _as_picture(numbers: np.ndarray) -> str | None:
    if numbers.dtype != np.uint8 or numbers.ndim != 3 or numbers.shape[2] not in (1, 3, 4):
        return None
    stream = io.BytesIO()
    Image.fromarray(numbers[:, :, 0] if numbers.shape[2] == 1 else numbers).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode("ascii")
