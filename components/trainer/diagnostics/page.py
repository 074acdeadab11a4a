"""The training as a page for people: `training.html`, in one file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from components.trainer.diagnostics import plots
from components.trainer.diagnostics.curves import GOALS, Entry, goal_of, measured, series
from components.trainer.diagnostics.sentences import about_training, sentences

TEMPLATE = Path(__file__).with_name("page.html.jinja")


def write_page(history: Sequence[Entry], path: Path, global_clipnorm: float | None = None) -> None:
    """Writes the page of a training; the same history gives the same page.

    Args:
        history: Entries, oldest first. Any kind of entry may be missing.
        path: The file.
        global_clipnorm: The bound on the gradient's norm, to be drawn; None if there was none.
    """
    entries = measured(history)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": _number, "percent": _percent, "duration": _duration}
    text = environment.from_string(TEMPLATE.read_text("utf-8")).render(
        figures=_figures(history, entries),
        sentences=[*about_training(history), *(sentences(entries[-1][1]) if entries else [])],
        training=_training_plots(history, global_clipnorm),
        entries=entries,
        influence=_influence_plot(entries),
        layers=_layer_plots(entries),
        over_time=_diagnostic_curves(history, entries),
        evaluations=_evaluations(history),
        metrics={name: GOALS.get(name, name) for name in _names(history)},
        ratios=entries[-1][1].get("update_ratios", {}) if entries else {},
        events=[entry for entry in history if "event" in entry],
    )
    path.write_text(text, "utf-8")


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    return (
        f"{value:,.4f}"
        if 0.01 <= abs(value) < 1000
        else f"{value:,.1f}"
        if 1000 <= abs(value) < 1e6
        else f"{value:.3g}"
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _figures(history: Sequence[Entry], entries: Sequence[tuple[int, Any]]) -> list[tuple[str, str, str]]:
    """What the training came to: (what, figure, remark)."""
    rows = []
    goal = goal_of(history)
    evaluations = [entry for entry in history if (entry.get("eval") or {}).get(goal) is not None]
    if evaluations:
        best = min(evaluations, key=lambda entry: entry["eval"][goal])
        where = f"step {best['step']:,}" + (f", epoch {best['epoch']}" if "epoch" in best else "")
        rows.append((f"best eval, {GOALS[goal]}", _number(best["eval"][goal]), where))
        for what, key in (("nats", "nats"), ("perplexity", "perplexity")):
            if best["eval"].get(key) is not None:
                rows.append((f"{what} there", _number(best["eval"][key]), ""))
    train = series(history, goal)
    if train:
        rows.append((f"last train, {GOALS[goal]}", _number(train[-1][1]), f"step {train[-1][0]:,}"))
    steps = max((entry["step"] for entry in history), default=0)
    seconds = series(history, "seconds")
    time = f"in {_duration(max(number for _, number in seconds))}" if seconds else ""
    rows.append(("steps", f"{steps:,}", time))
    clipped = series(history, "clipped")
    if clipped:
        rows.append(("steps clipped", _percent(sum(number for _, number in clipped) / len(clipped)), ""))
    rows.append(("steps not finite", f"{sum('event' in entry for entry in history):,}", ""))
    if entries:
        layers = entries[-1][1]["layers"]
        for number, layer in enumerate(layers, start=1):
            length = layer["memory_length"]
            longest = f"> {entries[-1][1]['lags']:,}"
            remembered = f"{length:,}" if length is not None else longest if layer["factor"] is not None else "–"
            remark = f"spectral radius of W {_number(layer['spectral_radius'])}"
            rows.append((f"memory of layer {number}, steps", remembered, remark))
    return rows


def _training_plots(history: Sequence[Entry], global_clipnorm: float | None) -> list[tuple[str, Markup]]:
    """(title, plot) of what was recorded while training."""
    found = []
    for key, unit in (*GOALS.items(), ("nats", "nats per token")):
        lines = {"train": series(history, key), "eval": series(history, "eval", key)}
        lines = {what: line for what, line in lines.items() if line}
        if lines:
            label = f"{unit} over the steps; {_ends(lines)}"
            found.append((unit.capitalize(), plots.curves(key, label, lines, unit, marked=["eval"])))
    norms, events = series(history, "gradient_norm"), _events(history)
    if norms or events:
        level = None if global_clipnorm is None else ("clipped to", global_clipnorm)
        bound = "" if global_clipnorm is None else f"; clipped to {global_clipnorm:g}"
        label = f"norm of the gradient over the steps; {_ends({'norm': norms})}{bound}; {_count(events)}"
        lines = {"norm": norms}
        drawn = plots.curves("norm", label, lines, "norm", log=True, level=level, events=events)
        found.append(("Norm of the gradient", drawn))
    for key, title in (("learning_rate", "Learning rate"), ("clipped", "Share of steps clipped")):
        if line := series(history, key):
            label = f"{title.lower()} over the steps; {_ends({title.lower(): line})}"
            lines = {title.lower(): line}
            found.append((title, plots.curves(key, label, lines, title.lower(), share=key == "clipped")))
    return found


def _ends(lines: dict[str, list[tuple[int, float]]]) -> str:
    """Where curves begin and end, in words."""
    return "; ".join(f"{what} from {line[0][1]:.4g} to {line[-1][1]:.4g}" for what, line in lines.items() if line)


def _events(history: Sequence[Entry]) -> dict[str, list[int]]:
    """Steps that were not finite, by what was not."""
    found: dict[str, list[int]] = {}
    for entry in history:
        if "event" in entry:
            found.setdefault(f"{entry['event']['cause']} not finite", []).append(entry["step"])
    return found


def _count(events: dict[str, list[int]]) -> str:
    return ", ".join(f"{what}: {len(steps)}" for what, steps in events.items()) or "every step was finite"


def _influence_plot(entries: Sequence[tuple[int, Any]]) -> Markup | None:
    if not entries:
        return None
    lengths = [
        f"layer {number} under 1 % from lag {layer['memory_length']} on"
        for number, layer in enumerate(entries[-1][1]["layers"], start=1)
        if layer["memory_length"] is not None
    ]
    label = "influence of a state on the loss by lag, as a share of that at lag 0, logarithmic; "
    return plots.influence("influence", label + (", ".join(lengths) or "above 1 % at every lag"), entries)


def _layer_plots(entries: Sequence[tuple[int, Any]]) -> list[tuple[int, list[tuple[str, Markup]]]]:
    """(layer, its plots with their titles)."""
    found = []
    for index, layer in enumerate(entries[-1][1]["layers"] if entries else []):
        number = index + 1
        rows = []
        if layer["spectral_radius"] is not None:
            label = f"eigenvalues of W of layer {number} and the unit circle; radius {layer['spectral_radius']:.4g}"
            rows.append(("Eigenvalues of W", plots.eigenvalues(f"eigen{number}", label, index, entries)))
            label = f"singular values of W of layer {number}, from {layer['largest_singular_value']:.4g} downwards"
            rows.append(("Singular values of W", plots.singular_values(f"singular{number}", label, index, entries)))
        if layer["histogram"] is not None:
            label = f"histogram of the states of layer {number}; mean {layer['mean']:.3g}, deviation {layer['std']:.3g}"
            rows.append(("States", plots.histogram(f"states{number}", label, index, entries)))
        found.append((number, rows))
    return found


def _diagnostic_curves(history: Sequence[Entry], entries: Sequence[tuple[int, Any]]) -> list[tuple[str, Markup]]:
    """(title, plot) of what the diagnostics say over the steps, if there is more than one."""
    titles = {
        "memory_length": ("Memory, steps", "lag of 1 % influence"),
        "spectral_radius": ("Spectral radius of W", "spectral radius"),
        "saturated": ("Saturated states (of relu: 0)", "share of states"),
        "dead": ("Dead units", "share of units"),
    }
    found = []
    layers = range(len(entries[-1][1]["layers"])) if len(entries) > 1 else range(0)
    for key, (title, unit) in titles.items():
        lines = {f"layer {n + 1}": series(history, "diagnostics", "layers", n, key) for n in layers}
        lines = {what: line for what, line in lines.items() if line}
        if lines:
            label = f"{title} over the steps; {_ends(lines)}"
            share = key in ("saturated", "dead")
            found.append((title, plots.curves(f"over-{key}", label, lines, unit, share=share, marked=list(lines))))
    return found


def _names(history: Sequence[Entry]) -> list[str]:
    """The metrics of the evaluations."""
    return list(dict.fromkeys(name for entry in history for name in entry.get("eval") or {}))


def _evaluations(history: Sequence[Entry]) -> list[dict[str, Any]]:
    """Rows of the table of evaluations, the last of each step; `best` is true of one of them at most."""
    rows = {entry["step"]: entry for entry in history if entry.get("eval")}
    best = max((step for step, entry in rows.items() if entry.get("best")), default=None)
    absent = {"epoch": None, "seconds": None}
    figures = dict.fromkeys(_names(history))
    return [
        {**absent, **rows[step], "eval": {**figures, **rows[step]["eval"]}, "best": step == best}
        for step in sorted(rows)
    ]
