"""The text that a pushed model was trained on, by the lineage of the root it came from, and what was copied of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from components.documents import Documents
from components.novelty import Copied, Corpus
from components.served.folder import version_folder
from components.transform.tokenizers import Tokenizer, WordTokenizer, load
from pipeline.lineage import trace
from pipeline.metadata import FILE_NAME


def copies_of(model: Path, corpus: Mapping[str, str], texts: Sequence[str]) -> list[Copied] | None:
    """Finds what each text copied from the text that its model was trained on.

    Args:
        model: Folder of the served model or of one of its versions.
        corpus: The training text, name → text; empty for what the lineage says.
        texts: What was written.

    Returns:
        The longest copy of each; None where there is no corpus.
    """
    sources = corpus or training_text(model)
    if not sources:
        return None
    tokenizer = load(version_folder(model) / "assets")
    trained_on = Corpus({name: _as_written(text, tokenizer) for name, text in sources.items()})
    return [trained_on.longest_copy(text) for text in texts]


def _as_written(text: str, tokenizer: Tokenizer) -> str:
    """A model of lower-case letters copies lower-case letters."""
    if isinstance(tokenizer, WordTokenizer):
        return tokenizer.decode(tokenizer.encode(text))  # as for the space between words
    return tokenizer.options.apply(text)


def training_text(model: Path) -> dict[str, str] | None:
    """The documents of the train split: id → text; None where no lineage store knows the model.

    Raises:
        UsageError: There is no model.
    """
    version = version_folder(model).resolve()
    root = version.parents[2]  # <root>/serving/<name>/<version>
    if not (root / FILE_NAME).is_file():
        return None
    traced = trace(version)
    for execution in traced.before if traced is not None else ():
        if "examples" in execution.outputs:
            split = Documents.splits(execution.outputs["examples"].path).get("train")
            if split is not None:
                ids = (str(fields["id"]) for fields in split.fields())
                return {name: split.read(i) for i, name in enumerate(ids)}
    return None
