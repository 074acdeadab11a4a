"""Charts as inline SVG in the page's own colours, so that they turn dark with it, and print."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from markupsafe import Markup

Line = Sequence[tuple[float, float]]  # (x, y), ascending in x

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 440, 220, 52, 14, 10, 24
_POINTS = 300  # of a line; of longer ones the extremes remain
_ROW, _ROWS_TOP = 46, 6


def lines(
    label: str,
    curves: Mapping[str, Line],
    *,
    log: bool = False,
    marked: Collection[str] = (),
    level: float | None = None,
) -> Markup:
    """Draws curves over a common x, with a key if there are several.

    Args:
        label: What is seen, for those who cannot see it.
        curves: Name → its points.
        log: The upright axis is logarithmic; what is not above 0 is left out.
        marked: Names of curves whose points are marked.
        level: What the curves are held against: a dashed line, if it lies in their range.
    """
    shown = {
        name: [(x, y) for x, y in line if math.isfinite(y) and (y > 0 or not log)] for name, line in curves.items()
    }
    drawn = {name: _thinned(line) for name, line in shown.items() if line}
    points = [point for line in drawn.values() for point in line]
    if not points:
        return Markup("")
    across = _Axis([x for x, _ in points], _LEFT, _WIDTH - _RIGHT)
    up = _Axis([y for _, y in points], _HEIGHT - _BOTTOM, _TOP, log)
    parts = [_grid(across, up)]
    if level is not None and _HEIGHT - _BOTTOM >= up(level) >= _TOP:
        dashed = Markup('<line class="level" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(dashed.format(_LEFT, _WIDTH - _RIGHT, y=up(level)))
    for number, (name, line) in enumerate(drawn.items()):
        places = [(across(x), up(y)) for x, y in line]
        if len(places) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(Markup('<polyline class="line c{}" points="{}"/>').format(number, path))
        if name in marked or len(places) == 1:
            parts += [
                Markup('<circle class="dot c{}" cx="{:.1f}" cy="{:.1f}" r="3"/>').format(number, *p) for p in places
            ]
    return _key(list(drawn)) + _svg(label, _HEIGHT, parts)


def intervals(label: str, rows: Sequence[tuple[str, float, Sequence[float], Mapping[str, float]]]) -> Markup:
    """Draws a figure with its 95 % interval on each row, and what baselines reach.

    Args:
        label: What is seen, for those who cannot see it.
        rows: (name, value, interval, baseline → value), the same baselines on all rows.
    """
    names = list(rows[0][3])
    across = _Axis([x for _, value, ends, others in rows for x in (value, *ends, *others.values())], 14, _WIDTH - 14)
    height = _ROWS_TOP + _ROW * len(rows) + 22
    parts = [_upright(across, tick, _ROWS_TOP, height - 20, height - 5) for tick in across.ticks]
    for row, (name, value, ends, others) in enumerate(rows):
        y = _ROWS_TOP + _ROW * row + 30
        parts.append(Markup('<text class="name" x="14" y="{}">{}</text>').format(y - 14, name))
        parts.append(Markup('<line class="grid" x1="14" x2="{}" y1="{y}" y2="{y}"/>').format(_WIDTH - 14, y=y))
        if len(ends) == 2:
            low, high = map(across, ends)
            parts.append(
                Markup('<line class="interval c0" x1="{:.1f}" x2="{:.1f}" y1="{y}" y2="{y}"/>').format(low, high, y=y)
            )
        for number, other in enumerate(names, start=1):
            if other in others:
                mark = Markup(
                    '<rect class="mark c{}" x="{:.1f}" y="{}" width="4" height="16"><title>{} {:.4g}</title></rect>'
                )
                parts.append(mark.format(number, across(others[other]) - 2, y - 8, other, others[other]))
        dot = Markup('<circle class="dot c0" cx="{:.1f}" cy="{}" r="5"><title>{:.4g}</title></circle>')
        parts.append(dot.format(across(value), y, value))
    return _key(["model", *names]) + _svg(label, height, parts)


class _Axis:
    """Numbers to places on the page.

    Attributes:
        ticks: Round numbers in their range.
    """

    def __init__(self, values: Collection[float], start: float, end: float, log: bool = False) -> None:
        low, high = min(values), max(values)
        if low == high:
            low, high = (low / 2, high * 2) if log else (low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2)
        self._log = log
        self._from, self._to = self._scaled(low), self._scaled(high)
        self._start, self._end = start, end
        self.ticks = _log_ticks(low, high) if log else _ticks(low, high)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self._log else value

    def __call__(self, value: float) -> float:
        share = (self._scaled(value) - self._from) / (self._to - self._from)
        return self._start + share * (self._end - self._start)


def _ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [step * n for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = -(-len(powers) // 6)
    factors = (1, 2, 5) if len(powers) <= 3 else (1,)
    found = [factor * 10.0**power for power in powers if power % every == 0 for factor in factors]
    return [tick for tick in found if low <= tick <= high]


def _thinned(line: Line) -> Line:
    """The lowest and the highest of each stretch of a long line, so that no peak is lost."""
    size = -(-2 * len(line) // _POINTS)
    if size < 3:
        return line
    kept: list[tuple[float, float]] = []
    for start in range(0, len(line), size):
        stretch = line[start : start + size]
        kept += sorted({min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])})
    return kept


def _grid(across: _Axis, up: _Axis) -> Markup:
    parts = [_upright(across, tick, _TOP, _HEIGHT - _BOTTOM, _HEIGHT - 6) for tick in across.ticks]
    level = Markup(
        '<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>'
        '<text x="{}" y="{below:.1f}" text-anchor="end">{:,.4g}</text>'
    )
    for tick in up.ticks:
        parts.append(level.format(_LEFT, _WIDTH - _RIGHT, _LEFT - 6, tick, y=up(tick), below=up(tick) + 3.5))
    return Markup("").join(parts)


def _upright(axis: _Axis, tick: float, top: float, bottom: float, base: float) -> Markup:
    line = Markup(
        '<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{}"/>'
        '<text x="{x:.1f}" y="{}" text-anchor="middle">{:,.6g}</text>'
    )
    return line.format(top, bottom, base, tick, x=axis(tick))


def _key(names: Sequence[str]) -> Markup:
    if len(names) < 2:
        return Markup("")
    items = [Markup('<span class="c{}">{}</span>').format(number, name) for number, name in enumerate(names)]
    return Markup('<p class="key">{}</p>').format(Markup(" ").join(items))


def _svg(label: str, height: float, parts: Sequence[Markup]) -> Markup:
    whole = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return whole.format(_WIDTH, height, label, Markup("").join(parts))
