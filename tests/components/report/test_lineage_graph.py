"""The picture of a lineage: nothing lies upon another, and what was made later is further down."""

import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

from components.report.lineage_graph import _nodes, draw
from pipeline import graph
from pipeline.metadata import Execution, StoredArtifact


def executions_of_the_pipeline():
    """One execution of each stage, as the wiring has it."""
    made, found = {}, []
    for number, stage in enumerate(graph.stages(), 1):
        inputs = {key: made[key] for key in stage.inputs}
        outputs = {
            key: StoredArtifact(kind.__name__, Path(f"{number}/{key}"), "d") for key, kind in stage.outputs.items()
        }
        made |= outputs
        found.append(Execution(number, stage.stage_name(), inputs, outputs, {}, "f", 0.0, 1.5))
    return found


def boxes(picture):
    """(what is written in it, classes, left, top, right, bottom) of each box."""
    for group in ElementTree.fromstring(picture).iter("g"):
        x, y, width, height = (float(group.find("rect").get(key)) for key in ("x", "y", "width", "height"))
        yield [text.text for text in group.iter("text")], group.get("class"), x, y, x + width, y + height


def test_every_execution_and_artifact_is_drawn_once_and_none_upon_another():
    executions = executions_of_the_pipeline()
    found = list(boxes(draw(executions, {})))

    names = sorted(texts[0] for texts, *_ in found)
    assert names == sorted([one.stage for one in executions] + [key for one in executions for key in one.outputs])
    for (_, _, *a), (_, _, *b) in itertools.combinations(found, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_picture_holds_all_of_its_boxes():
    picture = draw(executions_of_the_pipeline(), {})
    _, _, width, height = map(float, re.search(r'viewBox="(.*?)"', picture)[1].split())

    for _, _, left, top, right, bottom in boxes(picture):
        assert left >= 0
        assert top >= 0
        assert right <= width
        assert bottom <= height


def test_what_was_made_later_is_further_down():
    executions = executions_of_the_pipeline()
    tops = {texts[0]: top for texts, _, _, top, *_ in boxes(draw(executions, {}))}

    for one in executions:
        assert all(tops[key] < tops[one.stage] for key in one.inputs)
        assert all(tops[one.stage] < tops[key] for key in one.outputs)


def test_lines_join_what_was_read_and_written_from_row_to_row():
    executions = executions_of_the_pipeline()
    nodes = _nodes(executions, {})

    def reached(node):
        return [end for one in node.below for end in ([one] if one.lines else reached(one))]

    found = sorted((node.lines[0], end.lines[0]) for node in nodes if node.lines for end in reached(node))
    read = [(key, one.stage) for one in executions for key in one.inputs]
    written = [(one.stage, key) for one in executions for key in one.outputs]
    assert found == sorted(read + written)
    assert all(below.row == node.row + 1 for node in nodes for below in node.below)


def test_statuses_are_told_and_seen():
    executions = executions_of_the_pipeline()[:2]
    found = {texts[0]: (texts[1:], look) for texts, look, *_ in boxes(draw(executions, {1: "cached", 2: "ran"}))}

    assert found["example_gen"] == (["cached, number 1"], "execution cached")
    assert found["statistics_gen"] == (["ran, 1.5 s"], "execution ran")
    assert found["statistics"] == ([], "artifact ran")


def test_input_from_outside_is_drawn_first():
    given = {"examples": StoredArtifact("Examples", Path("/elsewhere"), "d")}
    one = Execution(1, "transform", given, {"graph": StoredArtifact("G", Path("1/graph"), "d")}, {}, "f", 0.0, 1.0)
    tops = {texts[0]: top for texts, _, _, top, *_ in boxes(draw([one], {1: "ran"}))}

    assert tops["examples"] < tops["transform"] < tops["graph"]


def test_names_are_escaped():
    one = Execution(1, "<b>", {}, {"<i>": StoredArtifact("G", Path("1/g"), "d")}, {}, "f", 0.0, 1.0)

    assert "&lt;b&gt;" in draw([one], {})
