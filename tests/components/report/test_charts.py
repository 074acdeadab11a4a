"""Charts: where points lie, what is labelled, what is left out."""

import math
import re
from xml.etree import ElementTree

import pytest

from components.report import charts


def drawn(chart):
    """The SVG of a chart, which is well-formed."""
    return ElementTree.fromstring(chart[chart.index("<svg") :])


def places(chart, number=0):
    """Points of a line, (x, y) as on the page."""
    points = re.findall(rf'<polyline class="line c{number}" points="(.*?)"', chart)[0]
    return [tuple(map(float, point.split(","))) for point in points.split()]


def test_lines_on_a_linear_axis_keep_proportions_and_go_up():
    (x0, y0), (x1, y1), (x2, y2) = places(charts.lines("l", {"a": [(0, 1.0), (10, 2.0), (40, 5.0)]}))

    assert (x1 - x0) / (x2 - x0) == pytest.approx(0.25, abs=0.01)
    assert (y0 - y1) / (y0 - y2) == pytest.approx(0.25, abs=0.01)
    assert y0 > y1 > y2


def test_lines_on_a_logarithmic_axis_give_each_power_the_same_room():
    (_, y0), (_, y1), (_, y2) = places(charts.lines("l", {"a": [(0, 0.01), (1, 0.1), (2, 1.0)]}, log=True))

    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)


def test_lines_leave_out_what_has_no_place():
    line = [(0, 1.0), (1, math.nan), (2, math.inf), (3, 0.0), (4, 2.0)]

    assert len(places(charts.lines("l", {"a": line}))) == 3
    assert len(places(charts.lines("l", {"a": line}, log=True))) == 2
    assert charts.lines("l", {"a": [], "b": [(0, math.nan)]}) == ""


def test_lines_of_a_long_line_keep_its_peak():
    line = [(step, 1.0 + step % 7) for step in range(100_000)]
    line[54_321] = (54_321, 1000.0)

    found = places(charts.lines("l", {"a": line}))

    assert len(found) < 400
    assert min(y for _, y in found) == 10.0  # the upper edge
    assert [x for x, _ in found] == sorted(x for x, _ in found)


@pytest.mark.parametrize("line", [[(5, 3.0)], [(0, 3.0), (1, 3.0)], [(5, 0.0)]])
def test_lines_without_any_range_are_drawn(line):
    chart = drawn(charts.lines("l", {"a": line}))

    assert len(chart) > 2


def test_lines_name_curves_if_there_are_several():
    one, two = (charts.lines("l", {name: [(0, 1), (1, 2)] for name in names}) for names in (["<a>"], ["<a>", "b"]))

    assert 'class="key"' not in one
    assert '<span class="c0">&lt;a&gt;</span>' in two
    assert '<span class="c1">b</span>' in two


@pytest.mark.parametrize(("level", "count"), [(1.5, 1), (9.0, 0), (None, 0)])
def test_level_is_drawn_within_the_range(level, count):
    assert charts.lines("l", {"a": [(0, 1), (1, 2)]}, level=level).count('class="level"') == count


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.5, 1.0]),
        (3, 374, [100, 200, 300]),
        (-1.0, 1.0, [-1.0, -0.5, 0, 0.5, 1.0]),
        (2.1, 2.9, [2.2, 2.4, 2.6, 2.8]),
    ],
)
def test_ticks_are_round_numbers_in_the_range(low, high, expected):
    assert charts._ticks(low, high) == pytest.approx(expected)


def test_intervals_put_model_and_baselines_where_their_values_are():
    chart = charts.intervals("l", [("eval", 2.0, [1.5, 2.5], {"unigram": 4.0}), ("test", 3.0, [], {"unigram": 1.0})])
    root = drawn(chart)

    dots = [float(one.get("cx")) for one in root.iter("circle")]
    marks = [float(one.get("x")) + 2 for one in root.iter("rect")]
    (interval,) = [one for one in root.iter("line") if "interval" in one.get("class")]
    assert dots[0] == pytest.approx(14 + (440 - 28) / 3, abs=0.1)
    assert marks == pytest.approx([440 - 14, 14], abs=0.1)
    assert float(interval.get("x1")) < dots[0] < float(interval.get("x2"))
