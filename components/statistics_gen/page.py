"""The statistics as a page for people: `statistics.html`, in one file that needs no network."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from components.statistics_gen.characters import KINDS, code_point, kind, script, shown
from components.statistics_gen.divergence import expected_by_chance, jensen_shannon
from components.statistics_gen.plots import bar, histogram
from components.statistics_gen.statistics import OF_ANY_DOCUMENT, SplitStatistics, common, custom_number, field_values

_COLORS = ("#33658a", "#e07a2f", "#5b8c5a", "#8a5a9e", "#b0413e")
_CHARACTERS, _WORDS, _SCRIPTS, _DIFFERENT, _SUSPECTS, _VALUES = 30, 20, 20, 12, 20, 10
_LONGEST_SHOWN = 40

# Rows of the summary: (what, which number, of what it is a share); None begins a group.
_SUMMARY: Sequence[tuple[str, str | None, str | None]] = (
    ("Size", None, None),
    ("documents", "documents", None),
    ("bytes", "bytes", None),
    ("characters", "characters", None),
    ("tokens (characters, and one <end> a document)", "tokens", None),
    ("words (what whitespace separates)", "words", None),
    ("different characters", "distinct_characters", None),
    ("different words", "distinct_words", None),
    ("Not in train", None, None),
    ("characters that train lacks", "unknown_characters", "characters"),
    ("words that train lacks", "unknown_words", "words"),
    ("documents that train holds, too", "leaked_documents", "documents"),
    ("Documents", None, None),
    ("empty", "empty_documents", "documents"),
    ("repeating an earlier one", "duplicated_documents", "documents"),
    ("not in normal form NFC", "not_nfc_documents", "documents"),
    ("not in normal form NFKC", "not_nfkc_documents", "documents"),
    ("Suspect characters", None, None),
    ("control (but tab and line ends)", "control_characters", "characters"),
    ("replacement (U+FFFD)", "replacement_characters", "characters"),
    ("private use", "private_use_characters", "characters"),
    ("unassigned", "unassigned_characters", "characters"),
    ("invisible (joiners, direction marks)", "invisible_characters", "characters"),
)
_WITHOUT_TEXT = [
    row
    for row in _SUMMARY
    if row[0] in ("Size", "Not in train", "Documents") or row[1] in ("documents", *OF_ANY_DOCUMENT)
]
# What the page opens with when there is any of it: number → sentence.
_WARNINGS = {
    "empty_documents": "{n} of {documents} documents are empty",
    "duplicated_documents": "{n} of {documents} documents repeat an earlier one",
    "leaked_documents": "{n} of {documents} documents are in train, too",
    "control_characters": "{n} control characters",
    "replacement_characters": "{n} replacement characters, left by a conversion that failed",
    "private_use_characters": "{n} private-use characters",
    "unassigned_characters": "{n} unassigned characters",
    "unknown_characters": "{n} characters that train lacks",
}


def render(splits: Mapping[str, SplitStatistics], template: Path) -> str:
    """Writes the page.

    Args:
        splits: Split → its statistics.
        template: `page.html.jinja`.
    """
    # The train split first: the others are compared with it.
    ordered = sorted(splits.values(), key=lambda split: (split.name != "train", split.name))
    colors = {split.name: _COLORS[i % len(_COLORS)] for i, split in enumerate(ordered)}
    palette, totals = list(colors.values()), [split["characters"] for split in ordered]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    has_text = any(split.has_text for split in ordered)
    environment.filters |= {"number": _number, "percent": _percent}
    return environment.from_string(template.read_text("utf-8")).render(
        splits=ordered,
        colors=colors,
        warnings=[warning for split in ordered for warning in _warnings(split)],
        has_text=has_text,
        summary=[(what, _cells(ordered, name, of)) for what, name, of in (_SUMMARY if has_text else _WITHOUT_TEXT)],
        lengths=[(split, _length_plot(split, colors[split.name])) for split in ordered],
        characters=_bars(palette, [split.characters for split in ordered], totals, _CHARACTERS),
        words=_bars(palette, [split.words for split in ordered], [split["words"] for split in ordered], _WORDS),
        scripts=_bars(palette, [split.scripts for split in ordered], totals, _SCRIPTS),
        name=_name,
        shown=shown,
        visible=visible,
        code_point=code_point,
        differences=_differences(ordered, colors),
        suspects=_suspects(ordered),
        fields=_fields(ordered, colors),
    )


def visible(text: str) -> str:
    """A text cut to what fits, with what leaves no mark on paper written as `⟨U+0007⟩`."""
    cut = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
    return "".join(f"⟨{code_point(c)}⟩" if unicodedata.category(c)[0] in "CZ" and c != " " else c for c in cut)


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}" if abs(value) < 100 else f"{value:,.1f}"


def _percent(share: float) -> str:
    return "0 %" if not share else f"{100 * share:.2f} %" if share >= 0.0001 else "<0.01 %"


def _name(character: str) -> str:
    return unicodedata.name(character, "").lower()


def _warnings(split: SplitStatistics) -> Iterable[tuple[str, str]]:
    for name, sentence in _WARNINGS.items():
        if split[name] and not (name == "leaked_documents" and split["same_as_train"]):
            yield split.name, sentence.format(n=_number(split[name]), documents=_number(split.documents))


def _cells(splits: Sequence[SplitStatistics], name: str | None, of: str | None) -> list[tuple[int, float | None]]:
    """(number, share or None) of each split; no cells for the title of a group."""
    if name is None:
        return []
    numbers = [split.documents if name == "documents" else split[name] for split in splits]
    return [(n, split.share(name, of) if of else None) for n, split in zip(numbers, splits, strict=True)]


def _length_plot(split: SplitStatistics, color: str) -> str:
    if not (split.documents and split.has_text):
        return ""
    buckets = split.lengths.histograms[0].buckets
    edges = [bucket.low_value for bucket in buckets] + [buckets[-1].high_value]
    return histogram(edges, [b.sample_count for b in buckets], color, f"Lengths of the documents of {split.name}")


def _bars(
    colors: Sequence[str], counts: Sequence[Mapping[str, int]], totals: Sequence[int], rows: int
) -> list[dict[str, Any]]:
    """Rows of a table of bars: the most frequent things of all splits, with count, share and bar in each."""
    shares = [{what: n / total for what, n in c.items()} for c, total in zip(counts, totals, strict=True)]
    # By their largest share in any split, so that what only a small split holds is not buried.
    largest = {what: max(s.get(what, 0.0) for s in shares) for split in shares for what in split}
    chosen = sorted(largest, key=lambda what: (-largest[what], what))[:rows]
    longest = largest[chosen[0]] if chosen else 0.0
    return [
        {
            "what": what,
            "cells": [
                (c.get(what, 0), s.get(what, 0.0), bar(s.get(what, 0.0), longest, color))
                for c, s, color in zip(counts, shares, colors, strict=True)
            ],
        }
        for what in chosen
    ]


def _differences(splits: Sequence[SplitStatistics], colors: Mapping[str, str]) -> list[dict[str, Any]]:
    """For each split but train: how far its characters are from train's, and which differ the most."""
    train = next((split for split in splits if split.name == "train" and split.characters), None)
    rows = []
    for split in splits:
        if train is None or split is train or not split.characters:
            continue
        shares = [
            (c, train.characters.get(c, 0) / train["characters"], split.characters.get(c, 0) / split["characters"])
            for c in sorted(train.characters.keys() | split.characters.keys())
        ]
        shares.sort(key=lambda row: -abs(row[1] - row[2]))
        shares = [row for row in shares[:_DIFFERENT] if row[1] != row[2]]
        longest = max((share for row in shares for share in row[1:]), default=0.0)
        rows.append(
            {
                "split": split,
                "apart": jensen_shannon(split.characters, train.characters),
                "chance": expected_by_chance(split.characters, train.characters),
                "same": bool(split["same_as_train"]),
                "unseen": [(c, n) for c, n in split.characters.items() if c not in train.characters][:_SUSPECTS],
                "characters": [
                    (c, p, bar(p, longest, colors["train"]), q, bar(q, longest, colors[split.name]))
                    for c, p, q in shares
                ],
            }
        )
    return rows


def _suspects(splits: Sequence[SplitStatistics]) -> list[dict[str, Any]]:
    found = {c: kind(c) for split in splits for c in split.characters if kind(c)}
    rows: list[dict[str, Any]] = [
        {"what": c, "kind": name, "script": script(c), "counts": [split.characters.get(c, 0) for split in splits]}
        for c, name in found.items()
    ]
    rows.sort(key=lambda row: (KINDS.index(row["kind"]), -sum(row["counts"]), row["what"]))
    return rows[:_SUSPECTS]


def _fields(splits: Sequence[SplitStatistics], colors: Mapping[str, str]) -> list[dict[str, Any]]:
    names = sorted({name for split in splits for name in split.fields})
    return [
        {
            "name": name,
            "rows": [_field_row(split, name) for split in splits],
            "numeric": any(split.fields[name].HasField("num_stats") for split in splits),
            "values": _value_bars(splits, list(colors.values()), name),
        }
        for name in names
    ]


def _field_row(split: SplitStatistics, name: str) -> dict[str, Any]:
    feature = split.fields[name]
    counts = common(feature)
    numbers = feature.num_stats if feature.HasField("num_stats") else None
    return {
        "split": split.name,
        "type": ", ".join(
            f"{stat.name.removeprefix('values_').replace('_', ' or ')}"
            for stat in feature.custom_stats
            if stat.name.startswith("values_")
        ),
        "present": counts.num_non_missing,
        "missing": counts.num_missing / split.documents if split.documents else 0.0,
        "distinct": custom_number(feature, "distinct_values"),
        "numbers": [numbers.min, numbers.mean, numbers.std_dev, numbers.max] if numbers is not None else [],
    }


def _value_bars(splits: Sequence[SplitStatistics], colors: Sequence[str], name: str) -> list[dict[str, Any]]:
    """The most frequent values, unless nearly every document has another."""
    values = [field_values(split.fields[name]) for split in splits]
    totals = [common(split.fields[name]).num_non_missing for split in splits]
    repeated = any(value and 2 * len(value) <= total for value, total in zip(values, totals, strict=True))
    return _bars(colors, values, totals, _VALUES) if repeated else []
