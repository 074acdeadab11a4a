"""The configuration's section `example_gen`: every key, with its default, its range and what it means."""

from __future__ import annotations

from typing import Literal

import pydantic
from pydantic import Field

from pipeline.section import Section


class SplitsConfig(Section):
    """Share of the corpus, in characters (without text: in documents), that each split gets. They add up to 1."""

    train: float = Field(default=0.9, gt=0, le=1)
    eval: float = Field(default=0.05, gt=0, le=1)
    test: float = Field(default=0.05, ge=0, le=1)

    @pydantic.model_validator(mode="after")
    def _add_up_to_one(self) -> SplitsConfig:
        total = self.train + self.eval + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + eval + test must be 1; here they add up to {total:g}")
        return self


class SeparatorConfig(Section):
    """separator: What lies between two documents of a file."""

    separator: str = Field(min_length=1, description="text of at least one character")


class FieldsConfig(Section):
    """Which field of a record is what; `a.b` is the field b of the mapping a. All others are kept with the document.

    Features, each null or in every record; a field may be several of them:

    text: The input text.
    label: The class of the whole: text or an integer.
    tags: A class for each word of `text` (words parted by single blanks), without text for each row of `array`: a list,
        or text with blanks between them.
    target: The output text.
    value: A number to be predicted.
    array: Numbers, as lists in lists: a series [timesteps, features] or [timesteps], an image [height, width,
        channels], or frames [timesteps, height, width, channels]. Only the first dimension may vary.

    And besides:

    id: Its name (null: its file and its number in it).
    split: For `splits: given`, the split it belongs to.
    """

    text: str | None = Field(default="text", min_length=1)
    id: str | None = Field(default=None, min_length=1)
    split: str | None = Field(default=None, min_length=1)
    label: str | None = Field(default=None, min_length=1)
    tags: str | None = Field(default=None, min_length=1)
    target: str | None = Field(default=None, min_length=1)
    value: str | None = Field(default=None, min_length=1)
    array: str | None = Field(default=None, min_length=1)

    @pydantic.model_validator(mode="after")
    def _something_to_learn_from(self) -> FieldsConfig:
        if not self.features:
            raise ValueError(f"one of {', '.join(_FEATURES)} must name a field; here all are null")
        if self.tags is not None and self.text is None and self.array is None:
            raise ValueError("tags are for the words of text or the rows of array, so one of these must name a field")
        return self

    @property
    def features(self) -> dict[str, str]:
        """Feature → the field that holds it."""
        return {name: field for name in _FEATURES if (field := getattr(self, name)) is not None}

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that a record must have."""
        return tuple(field for field in dict(self).values() if field is not None)


_FEATURES = ("text", "label", "tags", "target", "value", "array")
_RECORDS = ("jsonl", "csv", "tsv", "tfds")


class ExampleGenConfig(Section):
    """Where the corpus comes from and how it is split.

    source: `text:GLOB` (see `document`), `jsonl:GLOB`, `csv:GLOB` or `tsv:GLOB` (a document a record), on this machine
        or as a URL that Beam reads; `tfds:NAME[/CONFIG][:VERSION]` (a document an example); `dataset:NAME` (a data set
        that the pipeline knows, see docs/datasets.md; `dataset:NAME?KEY=VALUE&…` with options); `package:NAME` (the
        Markdown files of an installed Python package, a document per file); `inline:TEXT` (one document).
    document: What a document is in `text:`: a file, a line, or the text between two separators.
    fields: Which field of a record of `jsonl:`, `csv:`, `tsv:` and `tfds:` is the text, and which are other features.
    splits: Shares of the corpus; `same`: all of it for every split; `given`: the splits that the source itself names.
    split_by: Whole documents by the hash of their id, or contiguous pieces of the corpus.
    on_bad_record: What cannot be read stops the run, or is counted, listed in `bad_records.jsonl` and left out; so is
        then what has a class (`label`, `tags`) in eval or test that train has not.
    data_dir: Where `tfds:` keeps its data sets; null for TFDS's own default.
    data_root: The folder in which `dataset:` looks for a folder of the data set's name. The environment variable
        `RNN_PIPELINE_DATA_ROOT` comes before it.
    tfds: What `dataset:` reads where that folder is not there: a TFDS data set, `NAME[/CONFIG][:VERSION]`, as `tfds:`
        does, with `fields` and `data_dir`; null for none.
    """

    source: str = Field(
        pattern=r"^(?s:(inline|text|jsonl|csv|tsv|tfds|dataset|package):.+)$",
        description="inline:TEXT, text:GLOB, jsonl:GLOB, csv:GLOB, tsv:GLOB, tfds:NAME, dataset:NAME or package:NAME",
    )
    document: Literal["file", "line"] | SeparatorConfig = Field(
        default="file", description="'file', 'line' or {separator: TEXT}"
    )
    fields: FieldsConfig = FieldsConfig()
    splits: SplitsConfig | Literal["same", "given"] = SplitsConfig()
    split_by: Literal["hash", "position"] = "hash"
    on_bad_record: Literal["fail", "skip"] = "fail"
    data_dir: str | None = Field(default=None, min_length=1)
    data_root: str | None = Field(default=None, min_length=1)
    tfds: str | None = Field(default=None, min_length=1)

    @pydantic.model_validator(mode="after")
    def _keys_fit_the_source(self) -> ExampleGenConfig:
        kind = self.source.partition(":")[0]
        if self.document != "file" and kind != "text":
            raise ValueError(f"document is for text: sources; here source is {kind}:. Leave it out")
        for key in ("data_root", "tfds"):
            if getattr(self, key) is not None and kind != "dataset":
                raise ValueError(f"{key} is for dataset: sources; here source is {kind}:. Leave it out")
        if self.fields != FieldsConfig() and kind not in _RECORDS and self.tfds is None:
            known = ", ".join(f"{name}:" for name in _RECORDS)
            more = ", or dataset: with tfds" if kind == "dataset" else ""
            raise ValueError(f"fields is for sources of records ({known}{more}); here source is {kind}:. Leave it out")
        if self.fields.split is not None and self.splits != "given":
            raise ValueError("fields.split names the records' own splits, so it needs `splits: given`")
        if self.splits == "given" and kind in ("inline", "package"):
            raise ValueError(f"{kind}: sources name no splits, so `splits: given` is not for them")
        if self.data_dir is not None and kind != "tfds" and self.tfds is None:
            raise ValueError(f"data_dir is for tfds: sources; here source is {kind}:. Leave it out")
        return self
