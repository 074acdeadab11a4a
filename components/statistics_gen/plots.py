"""Small plots as inline SVG: bars and histograms that print, and need nothing but the page they are in."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

_BAR_WIDTH, _BAR_HEIGHT = 150, 12
_WIDTH, _HEIGHT = 330, 150
_LEFT, _BOTTOM, _TOP = 6, 18, 16


def bar(share: float, longest: float, color: str) -> Markup:
    """A horizontal bar, its full width `longest`; what is there but too small to see keeps a hair's breadth."""
    width = _BAR_WIDTH * share / longest if longest else 0.0
    width = max(width, 1.0) if share else 0.0
    return Markup(
        f'<svg class="bar" width="{_BAR_WIDTH}" height="{_BAR_HEIGHT}" aria-hidden="true">'
        f'<rect width="{width:.1f}" height="{_BAR_HEIGHT}" rx="1.5" fill="{color}"/></svg>'
    )


def histogram(edges: Sequence[float], counts: Sequence[float], color: str, label: str) -> Markup:
    """Bars of equal width over the spans between `edges`, with the edges written below and the largest count above.

    Args:
        edges: Ascending, [bars + 1].
        counts: How many lie in each span, [bars].
        color: Of the bars.
        label: What is counted, for those who cannot see the plot.
    """
    largest = max(counts, default=0.0)
    step = (_WIDTH - 2 * _LEFT) / max(len(counts), 1)
    floor = _HEIGHT - _BOTTOM
    parts = []
    for number, count in enumerate(counts):
        height = (floor - _TOP) * count / largest if largest else 0.0
        height = max(height, 1.0) if count else 0.0
        x = _LEFT + number * step
        title = f"{edges[number]:,.0f} to {edges[number + 1]:,.0f}: {count:,.0f}"
        parts.append(
            f'<rect x="{x:.1f}" y="{floor - height:.1f}" width="{max(step - 1, 1):.1f}" height="{height:.1f}" '
            f'fill="{color}"><title>{title}</title></rect>'
        )
        if count == largest and count and "text" not in "".join(parts):
            middle = min(max(x + step / 2, 20), _WIDTH - 20)
            parts.append(f'<text x="{middle:.1f}" y="{_TOP - 4}" text-anchor="middle">{count:,.0f}</text>')
    for number, anchor in ((0, "start"), (len(counts) // 2, "middle"), (len(counts), "end")):
        x = _LEFT + number * step
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 4}" text-anchor="{anchor}">{edges[number]:,.0f}</text>')
    return Markup(
        f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f'<line x1="{_LEFT}" y1="{floor}" x2="{_WIDTH - _LEFT}" y2="{floor}"/>{"".join(parts)}</svg>'
    )
