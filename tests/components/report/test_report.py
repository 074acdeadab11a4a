"""The report of a run: what it tells of runs that end one way or another, and that no text becomes markup."""

import html.parser
import json
import logging
import re
from pathlib import Path

import pytest

from components.report import report
from components.report.report import write_report
from pipeline import runner
from pipeline.metadata import MetadataStore
from tests.pipeline import fakes
from tests.pipeline.conftest import _clean_fakes  # noqa: F401

EVIL = "<script>alert(1)</script> \"quoted\" & {{ 7 * 7 }} <b onload='x'>"
VOID = {"meta", "wbr", "br", "img"}
FROM_ELSEWHERE = re.compile(r"""(src|href|url)\s*[=(]\s*["']?\s*(https?:|//)""", re.IGNORECASE)


class Checker(html.parser.HTMLParser):
    """Fails on a tag that is not closed, and collects tags, attributes, links and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.attributes, self.links, self.texts = [], set(), set(), [], []
        self.feed(text)
        assert self.open == []
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.links += [value for name, value in attributes if name in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)


def run(root, **arguments):
    """Runs the pipeline of four tiny stages; returns its summary and its report."""
    config = arguments.pop("config", None) or fakes.config()
    summary = runner.run(fakes.STAGES, config, root, **arguments)
    path = write_report(summary)
    text = path.read_text("utf-8")
    checker = Checker(text)
    assert FROM_ELSEWHERE.search(text) is None
    assert not checker.tags & {"script", "link", "iframe", "object"}
    assert not any(name.startswith("on") for name in checker.attributes)
    for link in checker.links:
        assert link.startswith(("#", "data:")) or (path.parent / link).exists(), link
    return summary, checker


def test_report_of_a_run_tells_of_its_stages_model_and_lineage(tmp_path: Path) -> None:
    summary, page = run(tmp_path, config_path="fake.yaml")

    assert "fake run 1 succeeded" in page.text
    assert "fake.yaml" in page.text
    assert "4 ran of 4 stages" in page.text
    for stage in summary.stages:
        assert f"{stage.name} ran" in page.text
        assert all(key in page.text for key in stage.outputs)
    assert page.text.count("first time") == 4
    assert "This is the first run of this root." in page.text
    assert "2 bits per character on eval" in page.text
    assert "version 1" in page.text
    assert {"svg", "details"} <= page.tags


def test_report_of_a_cached_run_tells_since_when_nothing_changed(tmp_path: Path) -> None:
    run(tmp_path)
    _, page = run(tmp_path)

    assert page.text.count("unchanged since run 1, when it took") == 4
    assert "Nothing is set otherwise than in run 1." in page.text
    assert page.text.count("cached, number") == 4


def test_report_tells_what_is_set_otherwise_and_what_ran_for_it(tmp_path: Path) -> None:
    run(tmp_path)
    _, page = run(tmp_path, config=fakes.config(seed=7))

    assert "key run 1 run 2" in page.text
    assert re.search(r"trainer\. ?seed 0 7", page.text)
    assert re.search(r"trainer ran [\d.]+ s trainer\.seed 0 → 7", page.text)


def test_report_of_a_model_that_is_not_blessed_tells_why(tmp_path: Path) -> None:
    _, page = run(tmp_path, config=fakes.config(upper=1.0))

    assert "not blessed" in page.text
    assert "Not blessed, nothing pushed bits_per_char is 2.0, above 1.0." in page.text
    assert "nothing pushed" in page.text


def test_report_of_a_failed_stage_tells_its_reason_and_the_end_of_its_log(tmp_path: Path) -> None:
    def fail() -> None:
        for number in range(100):
            logging.getLogger("stage").warning("line %d of <it>", number)
        raise ValueError("Trainer: no <way>.")

    fakes.HOOKS["trainer"] = fail
    summary, page = run(tmp_path)

    assert "trainer failed Trainer: no <way>." in page.text
    assert "line 99 of <it>" in page.text
    assert "line 50" not in page.text
    assert any(str(summary.log).endswith(link.removeprefix("../..")) for link in page.links)
    assert "pusher skipped" in page.text


def test_report_of_a_refusal_tells_its_sentences(tmp_path: Path) -> None:
    fakes.REFUSALS.extend(["Too <long>.", "Too short.", "Make it otherwise."])
    _, page = run(tmp_path)

    assert "trainer stopped the run Too <long>. Too short. Make it otherwise." in page.text
    assert "trainer failed" in page.text


def test_report_of_one_stage_shows_what_it_was_made_from(tmp_path: Path) -> None:
    run(tmp_path)
    summary = runner.run_stage(fakes.STAGES, fakes.config(seed=3), tmp_path, name="trainer")
    page = Checker(write_report(summary).read_text("utf-8"))

    assert "1 ran of 1 stages" in page.text
    assert "example_gen earlier, number 1" in page.text


def test_report_holds_no_tag_of_any_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_model() -> None:
        step = {"step": 1, "bits_per_char": 2.0, "gradient_norm": 1.0, "eval": {"bits_per_char": 2.0}}
        (newest(tmp_path, "model") / "history.jsonl").write_text(json.dumps(step) + "\n")

    def write_evaluation() -> None:
        folder = newest(tmp_path, "evaluation")
        figures = {"bits_per_char": 2.0, "baselines": {EVIL: {"bits_per_char": 3.0}}, "slices": {EVIL: {EVIL: 1.0}}}
        (folder / "metrics.json").write_text(json.dumps({"eval": figures}))
        (folder / "report.txt").write_text(EVIL)
        texts = [{"temperature": 0.5, "text": f"a {EVIL}\x07", "copied": EVIL[:9]}]
        answer = {"id": EVIL, "input": None, "picture": None, "right": [EVIL], "written": EVIL}
        answers = [answer, {**answer, "picture": "AAAA"}]
        (folder / "samples.json").write_text(json.dumps({"texts": texts, "examples": answers}))
        (newest(tmp_path, "blessing") / "comparison.txt").write_text(EVIL)

    fakes.HOOKS.update({"trainer": write_model, "evaluator": write_evaluation})
    _, page = run(tmp_path, config=fakes.config(source=f"inline:{EVIL}"), config_path=EVIL)

    assert not page.tags & {"script", "b"}
    assert page.text.count("alert(1)") > 8
    assert f"9 of {len(EVIL) + 3} characters copied" in page.text
    assert "49" not in page.text.split()
    assert "\x07" not in page.text


def newest(root: Path, output: str) -> Path:
    """The folder that a stage is filling."""
    (folder,) = root.glob(f".tmp/*/{output}")
    return folder


def test_report_that_is_not_whole_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary, _ = run(tmp_path)
    before = (tmp_path / "reports" / "1" / "report.html").read_text("utf-8")

    monkeypatch.setattr(report, "render", lambda *_: "\ud800")  # which no file can hold
    with pytest.raises(UnicodeEncodeError):
        write_report(summary)

    assert (tmp_path / "reports" / "1" / "report.html").read_text("utf-8") == before


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("gs://bucket/models/1", "gs://bucket/models/1"),
        ("s3://bucket/a b#1", "s3://bucket/a b#1"),
        ("/srv/root/serving/hello/1", "../../serving/hello/1"),
        ("/srv/models #1/50 %/é?x", "../../../models%20%231/50%20%25/%C3%A9%3Fx"),
        ("/srv/root/\udcff", "../../%FF"),
    ],
)
def test_links_lead_to_files_of_any_name_and_leave_urls_alone(path: str, link: str) -> None:
    assert report._link(Path("/srv/root/reports/1"), path) == link


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.7, "1 min 0 s"), (119.8, "2 min 0 s"), (3725, "1 h 2 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert report._duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (3.15, "3.150"), (1234567, "1,234,567"), (12345.67, "12,345.7"), (1.234e-7, "1.23e-07")],
)
def test_numbers(value: float | None, text: str) -> None:
    assert report._number(value) == text


def test_config_of_a_run_is_what_it_ran_with(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, config=fakes.config(seed=7))

    with MetadataStore(tmp_path, read_only=True) as store:
        assert [store.config_of(number)["trainer"]["seed"] for number in (1, 2)] == [0, 7]
