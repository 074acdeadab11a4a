"""A lineage as a picture: executions are boxes, artifacts are round, what was made later is further down."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from pipeline.metadata import Execution

_ROW, _BOX, _PILL, _GAP, _MARGIN = 58, 38, 24, 14, 8
_LETTER = 6.7  # width of one, on average
_PASSAGE = 6.0  # room that a line takes where it passes others
_SWEEPS = 12


@dataclasses.dataclass(eq=False)
class _Node:
    """A box, a round label, or a place that a line passes through.

    Attributes:
        row: How many steps from the beginning.
        lines: What is written in it; none where a line passes.
        look: CSS classes.
        above, below: What it is joined to, in the rows before and after.
        x: Of its middle.
    """

    row: int
    lines: Sequence[str] = ()
    look: str = ""
    above: list[_Node] = dataclasses.field(default_factory=list)
    below: list[_Node] = dataclasses.field(default_factory=list)
    x: float = 0.0

    @property
    def width(self) -> float:
        return _LETTER * max(map(len, self.lines)) + 20 if self.lines else _PASSAGE

    @property
    def height(self) -> float:
        return _BOX if len(self.lines) > 1 else _PILL if self.lines else 0

    @property
    def wanted(self) -> float:
        """The middle of what it is joined to; where a line only passes, to keep straight matters more."""
        weights = {other: 1 if self.lines or other.lines else 4 for other in self.above + self.below}
        return sum(other.x * weight for other, weight in weights.items()) / sum(weights.values())

    @property
    def slope(self) -> float:
        """Of the line that passes, in x for each row; lines begin and end upright."""
        return 0.0 if self.lines else (self.below[0].x - self.above[0].x) / 2

    @property
    def y(self) -> float:
        return _MARGIN + _BOX / 2 + _ROW * self.row


def draw(executions: Sequence[Execution], statuses: Mapping[int, str]) -> Markup:
    """Draws executions and what they read and wrote.

    Args:
        executions: Oldest first, so that what one reads was drawn before, or comes from outside.
        statuses: Execution → what the run did, `ran` or `cached`; the others are of earlier runs.
    """
    nodes = _nodes(executions, statuses)
    rows = [[node for node in nodes if node.row == row] for row in range(1 + max(node.row for node in nodes))]
    _order(rows)
    _place(rows)
    width = max(node.x + node.width / 2 for node in nodes) + _MARGIN
    height = _ROW * (len(rows) - 1) + _BOX + 2 * _MARGIN
    parts = [_edge(node, below) for node in nodes for below in node.below] + [_shape(n) for n in nodes if n.lines]
    svg = '<svg class="graph" viewBox="0 0 {:.0f} {}" style="max-width:{:.0f}px" role="img" aria-label="{}">{}</svg>'
    label = "lineage: " + ", ".join(f"{one.stage} {one.id}" for one in executions)
    return Markup(svg).format(width, height, width * 1.15, label, Markup("").join(parts))


def _nodes(executions: Sequence[Execution], statuses: Mapping[int, str]) -> list[_Node]:
    """What is to be drawn, joined from row to row."""
    artifacts: dict[Path, _Node] = {}
    nodes = []
    for one in executions:
        status = statuses.get(one.id, "earlier")
        for key, artifact in one.inputs.items():
            if artifact.path not in artifacts:  # from outside
                artifacts[artifact.path] = _Node(0, [key], "artifact earlier")
                nodes.append(artifacts[artifact.path])
        read = [artifacts[artifact.path] for artifact in one.inputs.values()]
        words = f"ran, {one.seconds:.1f} s" if status == "ran" else f"{status}, number {one.id}"
        box = _Node(1 + max((node.row for node in read), default=-1), [one.stage, words], f"execution {status}")
        nodes.append(box)
        for node in read:
            nodes += _join(node, box)
        for key, artifact in one.outputs.items():
            artifacts[artifact.path] = _Node(box.row + 1, [key], f"artifact {status}")
            nodes += [artifacts[artifact.path], *_join(box, artifacts[artifact.path])]
    return nodes


def _join(upper: _Node, lower: _Node) -> list[_Node]:
    """Joins two nodes, and returns the places that the line passes through in the rows between them."""
    passed = [_Node(row) for row in range(upper.row + 1, lower.row)]
    chain = [upper, *passed, lower]
    for above, below in itertools.pairwise(chain):
        above.below.append(below)
        below.above.append(above)
    return passed


def _order(rows: list[list[_Node]]) -> None:
    """Orders each row by the middle of what its nodes are joined to, down and up again, so that few lines cross."""
    for sweep in range(_SWEEPS):
        for row in rows[1:] if sweep % 2 == 0 else rows[-2::-1]:
            places = {node: place for other in rows for place, node in enumerate(other)}
            for node in row:
                joined = node.above if sweep % 2 == 0 else node.below
                node.x = sum(places[other] for other in joined) / len(joined) if joined else places[node]
            row.sort(key=lambda node: node.x)


def _place(rows: list[list[_Node]]) -> None:
    """Puts each node as near to the middle of what it is joined to as its neighbours in the row allow."""
    for row in rows:
        _spread(row, [0.0] * len(row))
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            _spread(row, [node.wanted for node in row])
    left = min(node.x - node.width / 2 for row in rows for node in row)
    for row in rows:
        for node in row:
            node.x += _MARGIN - left


def _spread(row: Sequence[_Node], wanted: Sequence[float]) -> None:
    """Sets x to what is nearest to the places wanted, in least squares, with the gaps kept: an isotonic regression."""
    offsets = [0.0]
    for left, right in itertools.pairwise(row):
        offsets.append(offsets[-1] + (left.width + right.width) / 2 + _GAP)
    blocks: list[list[float]] = []  # of nodes that touch: the sum of where they want to begin, and their number
    for want, offset in zip(wanted, offsets, strict=True):
        blocks.append([want - offset, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + count]
    begins = [total / count for total, count in blocks for _ in range(int(count))]
    for node, begin, offset in zip(row, begins, offsets, strict=True):
        node.x = begin + offset


def _edge(upper: _Node, lower: _Node) -> Markup:
    top, bottom = upper.y + upper.height / 2, lower.y - lower.height / 2
    third = (bottom - top) / 3
    path = '<path class="edge" d="M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}"/>'
    first, second = (upper.x + upper.slope / 3, top + third), (lower.x - lower.slope / 3, bottom - third)
    return Markup(path).format(upper.x, top, *first, *second, lower.x, bottom)


def _shape(node: _Node) -> Markup:
    radius = 5 if len(node.lines) > 1 else node.height / 2
    shape = '<g class="{}"><rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}" rx="{}"/>{}</g>'
    text = '<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>'
    first = node.y + 4 - 7.5 * (len(node.lines) - 1)
    texts = [Markup(text).format(node.x, first + 15 * number, line) for number, line in enumerate(node.lines)]
    corner = (node.x - node.width / 2, node.y - node.height / 2)
    return Markup(shape).format(node.look, *corner, node.width, node.height, radius, Markup("").join(texts))
