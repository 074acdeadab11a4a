"""The plots of the training page: matplotlib figures as inline SVG that needs nothing but the page it is in."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from components.trainer.diagnostics.influence import FORGOTTEN

Series = Sequence[tuple[int, float]]

COLORS = ("#33658a", "#e07a2f", "#5b8c5a", "#8a5a9e", "#b0413e")
_INK, _SOFT, _LINE = "#1f2933", "#697586", "#dfe4ea"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "path",  # the same on every machine, and on paper
    "svg.hashsalt": "rnn-pipeline",  # ids, and so the page, are the same each time
    "font.size": 9,
    "axes.edgecolor": _SOFT,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 9,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.constrained_layout.use": True,
}
_HALF, _SQUARE, _WHOLE = (5.2, 2.7), (3.4, 3.2), (10.6, 2.9)
_MANY_POINTS = 200
_CROWDED = 50  # percent of the states in one bin, as of relu in that of 0: the others would not be seen
_WIDE = 100  # largest against smallest number: a linear axis would show the largest only
_FLOOR = 1e-6  # of influence: what is below is of no use to anybody


class Drawing:
    """A figure in the making, and its SVG once the `with` block of `draw` has ended."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.svg = Markup("")


@contextmanager
def draw(name: str, label: str, size: tuple[float, float] = _HALF) -> Iterator[Drawing]:
    """Opens a figure with one pair of axes.

    Args:
        name: Unique in the page.
        label: What is to be seen, for those who cannot see it.
        size: In inches.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size)
        drawing = Drawing(figure.subplots())
        yield drawing
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    drawing.svg = _inline(buffer.getvalue(), name, label)


def _inline(svg: str, name: str, label: str) -> Markup:
    """An SVG document as an element of a page: ids of its own, no addresses, scaled to its place."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r' xmlns(:xlink)?="[^"]*"', "", body).replace("xlink:href", "href")
    body = re.sub(r'( id="|"#|url\(#)', rf"\g<1>{name}-", body)
    viewbox = re.search(r'viewBox="[^"]*"', body)
    head = f'<svg class="plot" {viewbox.group() if viewbox else ""} role="img" aria-label="{escape(label)}">'
    return Markup(head + body[body.index(">") + 1 :].strip())


# ---- Over the steps -------------------------------------------------------------------------------------------------


def curves(
    name: str,
    label: str,
    lines: Mapping[str, Series],
    ylabel: str,
    *,
    log: bool = False,
    share: bool = False,
    marked: Sequence[str] = (),
    level: tuple[str, float] | None = None,
    events: Mapping[str, Sequence[int]] | None = None,
) -> Markup:
    """Curves over the steps of the training.

    Args:
        lines: What → its curve, in the order of the colours.
        log: The axis is logarithmic; it is, too, when the numbers are of very different sizes and no shares.
        share: The numbers are shares, on an axis from 0 to 100 %.
        marked: Those of `lines` that have a point at each step.
        level: (what, number) of a horizontal line.
        events: What → the steps that get a mark at the top.
    """
    with draw(name, label) as drawing:
        axes = drawing.axes
        for color, (what, line) in zip(_cycled(len(lines)), lines.items(), strict=True):
            steps, heights = [step for step, _ in line], [number for _, number in line]
            style: dict[str, Any] = {"marker": "o", "markersize": 4} if what in marked or len(line) == 1 else {}
            axes.plot(steps, heights, color=color, linewidth=1.3, label=what, **style)
        if level is not None:
            axes.axhline(level[1], color=_INK, linewidth=0.9, linestyle="--", label=f"{level[0]} {level[1]:g}")
        numbers = [number for line in lines.values() for _, number in line]
        wide = bool(numbers) and 0 < _WIDE * min(numbers) < max(numbers)
        if share:
            axes.set_ylim(-0.02, 1.02)
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        elif wide or (log and any(number > 0 for number in numbers)):
            _logarithmic(axes)
        for color, (what, places) in zip(reversed(COLORS), (events or {}).items(), strict=False):
            tops = np.full(len(places), 0.97)
            transform = axes.get_xaxis_transform()
            axes.scatter(places, tops, marker="v", s=26, color=color, label=what, transform=transform, zorder=3)
        axes.set_xlabel("step")
        axes.set_ylabel(ylabel)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        _legend(axes)
    return drawing.svg


# ---- Of one evaluation, against the first ---------------------------------------------------------------------------


def influence(name: str, label: str, entries: Sequence[tuple[int, Mapping[str, Any]]]) -> Markup:
    """Influence by lag as a share of that at lag 0, on a logarithmic axis: first evaluation thin, last thick."""
    with draw(name, label, _WHOLE) as drawing:
        axes = drawing.axes
        for (step, measures), newest in _first_and_last(entries):
            for color, (number, layer) in zip(_cycled(len(measures["layers"])), _layers(measures), strict=True):
                curve = _floats(layer["influence"])
                if not len(curve) or not curve[0] > 0:
                    continue
                share = curve / curve[0]
                share[~(share > 0)] = np.nan
                axes.plot(share, color=color, **_emphasis(newest), label=f"layer {number}, step {step:,}")
                length = layer["memory_length"]
                if newest and length is not None and length < len(share):
                    axes.plot(length, share[length], marker="o", markersize=5, color=color)
        axes.axhline(FORGOTTEN, color=_INK, linewidth=0.9, linestyle="--", label="1 %")
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, _FLOOR), high)
        axes.set_xlabel("lag, steps back from the loss")
        axes.set_ylabel("influence, lag 0 = 1")
        axes.margins(x=0.01)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return drawing.svg


def eigenvalues(name: str, label: str, layer: int, entries: Sequence[tuple[int, Mapping[str, Any]]]) -> Markup:
    """Eigenvalues of a layer's W in the complex plane, with the unit circle."""
    with draw(name, label, _SQUARE) as drawing:
        axes = drawing.axes
        angle = np.linspace(0, 2 * np.pi, 200)
        axes.plot(np.cos(angle), np.sin(angle), color=_INK, linewidth=0.9, linestyle="--")
        for (step, measures), newest in _first_and_last(entries):
            pairs = np.stack([_floats(pair) for pair in measures["layers"][layer]["eigenvalues"]])
            look = (
                {"color": COLORS[0]} if newest else {"facecolors": "none", "edgecolors": "#a9b2bd", "linewidths": 0.8}
            )
            size = 14 if len(pairs) < _MANY_POINTS else 9
            axes.scatter(pairs[:, 0], pairs[:, 1], s=size, label=f"step {step:,}", **look)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel("real")
        axes.set_ylabel("imaginary")
        _legend_below(axes)
    return drawing.svg


def singular_values(name: str, label: str, layer: int, entries: Sequence[tuple[int, Mapping[str, Any]]]) -> Markup:
    """Singular values of a layer's W, the largest first."""
    with draw(name, label, _SQUARE) as drawing:
        axes = drawing.axes
        axes.axhline(1.0, color=_INK, linewidth=0.9, linestyle="--")
        for (step, measures), newest in _first_and_last(entries):
            values = _floats(measures["layers"][layer]["singular_values"])
            few: dict[str, Any] = {"marker": "o", "markersize": 3} if len(values) < 20 else {}
            ranks = np.arange(1, len(values) + 1)
            axes.plot(ranks, values, **_of_square(newest), **few, label=f"step {step:,}")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("rank")
        axes.set_ylabel("singular value")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        _legend_below(axes)
    return drawing.svg


def histogram(name: str, label: str, layer: int, entries: Sequence[tuple[int, Mapping[str, Any]]]) -> Markup:
    """Histogram of a layer's states; the ends are where they saturate."""
    with draw(name, label, _SQUARE) as drawing:
        axes = drawing.axes
        for (step, measures), newest in _first_and_last(entries):
            found = measures["layers"][layer]["histogram"]
            if found is None:
                continue
            edges = np.linspace(found["low"], found["high"], len(found["shares"]) + 1)
            shares = 100 * _floats(found["shares"])
            if newest:
                axes.stairs(shares, edges, fill=True, color=COLORS[0], alpha=0.85, label=f"step {step:,}")
            else:
                axes.stairs(shares, edges, color=_INK, linewidth=1.0, label=f"step {step:,}", zorder=3)
            if np.nanmax(shares) > _CROWDED:
                _logarithmic(axes)
        axes.set_xlabel("h")
        axes.set_ylabel("states, %")
        _legend_below(axes)
    return drawing.svg


def _first_and_last(entries: Sequence[tuple[int, Any]]) -> list[tuple[tuple[int, Any], bool]]:
    """The first entry and the last, each with whether it is the last; one entry is the last."""
    return [(entry, entry is entries[-1]) for entry in [*(entries[:1] if len(entries) > 1 else []), *entries[-1:]]]


def _layers(measures: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    return iter(list(enumerate(measures["layers"], start=1)))


def _floats(values: Sequence[float | None]) -> np.ndarray:
    return np.asarray([np.nan if value is None else value for value in values], float)


def _cycled(count: int) -> list[str]:
    return [COLORS[number % len(COLORS)] for number in range(count)]


def _emphasis(newest: bool) -> dict[str, Any]:
    return {"linewidth": 1.7} if newest else {"linewidth": 0.9, "alpha": 0.75, "linestyle": ":"}


def _of_square(newest: bool) -> dict[str, Any]:
    return {"color": COLORS[0], "linewidth": 1.7} if newest else {"color": _SOFT, "linewidth": 1.0, "linestyle": ":"}


def _logarithmic(axes: Axes) -> None:
    """Makes the upright axis logarithmic, with as many labels between its powers of ten as there is room for."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    between = "23468" if high < 10 * low else "25" if high < 1000 * low else ""
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in between else "")


def _legend(axes: Axes) -> None:
    if len(axes.get_legend_handles_labels()[1]) > 1:
        axes.legend(loc="best")


def _legend_below(axes: Axes) -> None:
    if len(axes.get_legend_handles_labels()[1]) > 1:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, handlelength=1.2, columnspacing=1.2)
