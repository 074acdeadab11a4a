"""What the report of a run tells, read from the summary, the lineage store and the artifacts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from components.example_validator.accepted import read_record
from components.report import charts, lineage_graph
from components.statistics_gen import statistics
from components.statistics_gen.plots import histogram
from components.statistics_gen.statistics import SplitStatistics
from components.trainer.diagnostics.curves import GOALS, Entry, goal_of, measured, series
from components.trainer.diagnostics.influence import FORGOTTEN
from components.trainer.diagnostics.sentences import about_training, sentences
from pipeline.decision import flat
from pipeline.errors import Refused
from pipeline.lineage import made_before
from pipeline.metadata import Execution, MetadataStore
from pipeline.stage_log import last_lines
from pipeline.summary import RunSummary

# Output → the page or text that its stage writes for people.
_PAGES = {
    "statistics": "statistics.html",
    "anomalies": "anomalies.txt",
    "best_hyperparameters": "report.txt",
    "model": "training.html",
    "evaluation": "report.txt",
    "exported_model": "MODEL_CARD.md",
    "infra_blessing": "sample.txt",
}
# Row of the table → one of the numbers of `SplitStatistics`, or `documents`.
_COUNTS = {
    "documents": "documents",
    "characters": "characters",
    "words": "words",
    "different characters": "distinct_characters",
    "different words": "distinct_words",
    "characters that train lacks": "unknown_characters",
    "words that train lacks": "unknown_words",
    "documents that repeat an earlier one": "duplicated_documents",
    "documents that train holds, too": "leaked_documents",
}
_WHATEVER_THE_DOCUMENTS = ("documents", *statistics.OF_ANY_DOCUMENT)
_LONGEST_VALUE = 200
_NOTHING = 1e-8  # of the influence at lag 0: what is below is not drawn


def of_run(summary: RunSummary, store: MetadataStore) -> dict[str, Any]:
    """Everything that the template asks for; a section that the run has nothing for is empty."""
    runs = {record.id: record for record in store.runs()}
    before = max((run_id for run_id in runs if run_id < summary.run_id), default=None)
    config = store.config_of(summary.run_id)
    executions, runs_of = store.executions(), store.runs_of()
    metrics = summary.metrics()
    return {
        "summary": summary,
        "run": runs[summary.run_id],
        "name": config["pipeline"]["name"],
        "pushed": summary.pushed_model(),
        "stages": _stages(summary, {one.id: one for one in executions}, runs_of),
        "trouble": _trouble(summary),
        "before": before,
        "changes": [] if before is None else _changes(store.config_of(before), config),
        "data": _data(summary),
        "anomalies": _anomalies(summary),
        "training": _training(summary, config),
        "metrics": {split: _metrics(values) for split, values in metrics.items()},
        "comparison": _comparison(metrics),
        "headline": _headline(metrics),
        "tables": _text(summary, "evaluation", "report.txt"),
        "against": _text(summary, "blessing", "comparison.txt"),
        "served": json.loads(_text(summary, "infra_blessing", "measured.json") or "{}"),
        "samples": _samples(summary),
        "lineage": _lineage(summary, executions),
        "config": [(key, _shown(flat(config), key)) for key in sorted(flat(config))],
    }


# ---- What happened --------------------------------------------------------------------------------------------------


def _stages(
    summary: RunSummary, executions: Mapping[int, Execution], runs_of: Mapping[int, Sequence[int]]
) -> list[dict[str, Any]]:
    rows = []
    for stage in summary.stages:
        made = executions.get(stage.execution_id or 0)
        earlier = [run for run in runs_of.get(stage.execution_id or 0, ()) if run != summary.run_id]
        pages = {key: folder / _PAGES.get(key, "") for key, folder in stage.outputs.items()}
        rows.append(
            {
                "result": stage,
                "made": made,
                "made_in": earlier[0] if earlier else None,
                "outputs": [(key, page if page.exists() else page.parent) for key, page in pages.items()],
            }
        )
    return rows


def _trouble(summary: RunSummary) -> dict[str, Any] | None:
    """What kept the run from its end, in sentences, and what the stage said last."""
    if summary.status == "succeeded":
        return None
    failed = next((stage.name for stage in summary.stages if stage.status == "failed"), "")
    error = summary.exception
    if isinstance(error, Refused):
        title, reasons = f"{failed} stopped the run", error.reasons
    elif error is not None:
        title, reasons = f"{failed} failed", [str(error) or type(error).__name__]
    else:
        title, reasons = "Not blessed, nothing pushed", list(summary.reasons)
    log = None if error is None else summary.log  # of a refusal the sentences say all
    return {"title": title, "reasons": reasons, "log": log, "lines": last_lines(log) if log is not None else []}


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(key, value before, value now) of each key of the configuration that differs."""
    old, new = flat(before), flat(now)
    keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return [(key, _shown(old, key), _shown(new, key)) for key in keys]


def _shown(values: Mapping[str, Any], key: str) -> str:
    text = json.dumps(values[key], ensure_ascii=False) if key in values else "–"
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _lineage(summary: RunSummary, executions: Sequence[Execution]) -> Markup:
    statuses = {stage.execution_id: stage.status for stage in summary.stages if stage.execution_id is not None}
    own = [one for one in executions if one.id in statuses]
    drawn = {one.id: one for one in (*own, *made_before(own, executions))}
    return lineage_graph.draw([drawn[number] for number in sorted(drawn)], statuses) if drawn else Markup()


# ---- Data -----------------------------------------------------------------------------------------------------------


def _data(summary: RunSummary) -> dict[str, Any] | None:
    folder = summary.output("statistics")
    if folder is None:
        return None
    # The train split first: the others are compared with it.
    splits = sorted(statistics.load(folder).values(), key=lambda split: (split.name != "train", split.name))
    manifest = json.loads(_text(summary, "transformed_examples", "manifest.json") or "{}")
    counts = [(what, [_count(split, name) for split in splits]) for what, name in _COUNTS.items()]
    tokens = [manifest.get("splits", {}).get(split.name, {}) for split in splits]
    rows = [(what, numbers) for what, numbers in counts if what == "documents" or any(n is not None for n in numbers)]
    if all(tokens):
        rows.append(("tokens", [each["tokens"] for each in tokens]))
        rows.append(("tokens outside the vocabulary", [each["unknown"] for each in tokens]))
    return {
        "splits": [split.name for split in splits],
        "rows": rows,
        "vocabulary": manifest.get("vocabulary_size"),
        "lengths": [(split.name, _lengths(split)) for split in splits if split.has_text and split.documents > 1],
        "page": folder / "statistics.html",
    }


def _count(split: SplitStatistics, name: str) -> int | None:
    if not split.has_text and name not in _WHATEVER_THE_DOCUMENTS:
        return None
    return split.documents if name == "documents" else split[name]


def _lengths(split: SplitStatistics) -> Markup:
    buckets = split.lengths.histograms[0].buckets
    edges = [bucket.low_value for bucket in buckets] + [buckets[-1].high_value]
    counts = [bucket.sample_count for bucket in buckets]
    return histogram(edges, counts, "currentColor", f"lengths of the documents of {split.name}, in characters")


def _anomalies(summary: RunSummary) -> list[dict[str, Any]] | None:
    folder = summary.output("anomalies")
    return None if folder is None else read_record(folder).get("anomalies", [])


# ---- The training ---------------------------------------------------------------------------------------------------


def _training(summary: RunSummary, config: Mapping[str, Any]) -> dict[str, Any] | None:
    file = summary.output("model", "history.jsonl")
    if file is None:
        return None
    history = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    measures = measured(history)
    clipnorm = config["trainer"]["optimizer"]["global_clipnorm"]
    page = file.with_name("training.html")
    return {
        "sentences": [*about_training(history), *(sentences(measures[-1][1]) if measures else [])],
        "charts": [(title, remark, chart) for title, remark, chart in _curves(history, measures, clipnorm) if chart],
        "page": page if page.is_file() else None,
    }


def _curves(
    history: Sequence[Entry], measures: Sequence[tuple[int, Mapping[str, Any]]], clipnorm: float | None
) -> list[tuple[str, str, Markup]]:
    """(title, remark, chart)"""
    goal = goal_of(history)
    figures = {"train": series(history, goal), "eval": series(history, "eval", goal)}
    layers = list(enumerate(measures[-1][1]["layers"], start=1)) if measures else []
    reach = {f"layer {number}": _influence(layer["influence"]) for number, layer in layers}
    radius = {
        f"layer {number}": series(history, "diagnostics", "layers", number - 1, "spectral_radius")
        for number, _ in layers
        if len(measures) > 1
    }
    norm, rate = series(history, "gradient_norm"), series(history, "learning_rate")
    clipped = "" if clipnorm is None else f"; clipped above {clipnorm:g}"
    unit = GOALS[goal].capitalize()
    return [
        (unit, "", charts.lines(f"{unit} over the steps", figures, marked=["eval"])),
        (
            "Norm of the gradient",
            f"of all variables together{clipped}",
            charts.lines("norm of the gradient over the steps", {"norm": norm}, log=True, level=clipnorm),
        ),
        (
            "How far back gradients reach",
            "‖∂L/∂h‖ over the lag in steps, as a share of that at lag 0; dashed: 1 %",
            charts.lines("influence of a state on the loss over the lag", reach, log=True, level=FORGOTTEN),
        ),
        (
            "Spectral radius of W",
            "above 1 a state can grow, below it dies away",
            charts.lines("spectral radius over the steps", radius, marked=list(radius)),
        ),
        ("Learning rate", "", charts.lines("learning rate over the steps", {"rate": rate})),
    ]


def _influence(values: Sequence[float | None]) -> list[tuple[float, float]]:
    first = values[0] if values else None
    shares = [(lag, value / first) for lag, value in enumerate(values) if value is not None] if first else []
    return [(lag, share) for lag, share in shares if share >= _NOTHING]


# ---- The model ------------------------------------------------------------------------------------------------------


def _metrics(values: Mapping[str, Any]) -> dict[str, Any]:
    """One split: a row for each metric, with its interval and what baselines reach; its slices."""
    baselines, intervals = values.get("baselines", {}), values.get("intervals", {})
    numbers = {name: value for name, value in values.items() if value is None or isinstance(value, int | float)}
    slices = values.get("slices", {})
    return {
        "baselines": list(baselines),
        "rows": [
            (name, value, intervals.get(name, ()), [figures.get(name) for figures in baselines.values()])
            for name, value in numbers.items()
        ],
        "slices": [(name, [figures.get(metric) for metric in _union(slices)]) for name, figures in slices.items()],
        "slice_metrics": _union(slices),
    }


def _union(slices: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(metric for figures in slices.values() for metric in figures))


def _headline(metrics: Mapping[str, Mapping[str, Any]]) -> tuple[str, float, Sequence[float]] | None:
    """The figure that a model is known by, on eval, with its interval."""
    values = metrics.get("eval", {})
    names = ["bits_per_char", *values.get("intervals", {})]
    name = next((name for name in names if isinstance(values.get(name), int | float)), None)
    return None if name is None else (name, values[name], values.get("intervals", {}).get(name, ()))


def _comparison(metrics: Mapping[str, Mapping[str, Any]]) -> tuple[str, Markup] | None:
    """The same figure of each split, beside what baselines reach."""
    headline = _headline(metrics)
    if headline is None:
        return None
    name = headline[0]
    rows = []
    for split, values in metrics.items():
        others = {other: figures.get(name) for other, figures in values.get("baselines", {}).items()}
        known = {other: value for other, value in others.items() if value is not None}
        ends = [end for end in values.get("intervals", {}).get(name, ()) if end is not None]
        if values.get(name) is not None:
            rows.append((split, values[name], ends, known))
    title = GOALS.get(name, name.replace("_", " "))
    return title, charts.intervals(f"{title} of each split beside the baselines", rows)


def _samples(summary: RunSummary) -> dict[str, Any]:
    content = json.loads(_text(summary, "evaluation", "samples.json") or "{}")
    for sample in content.get("texts", []):
        sample["before"], sample["copied"], sample["after"] = sample["text"].partition(sample["copied"] or "\0")
    return {"texts": content.get("texts", []), "examples": content.get("examples", [])}


def _text(summary: RunSummary, key: str, file: str) -> str:
    path = summary.output(key, file)
    return "" if path is None else path.read_text("utf-8", errors="replace")
