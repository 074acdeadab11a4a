"""The latest blessed model: which one it is, by what executions recorded."""

import json
from pathlib import Path

import pytest

from components.push_history import Push
from components.resolver import latest_blessed_model
from pipeline.files import digest_folder


def execution(root: Path, stage: str, number: int, files: dict[str, str], inputs: dict[str, str] | None = None) -> Path:
    """Writes what an execution leaves: `KEY/FILE` → text, and its record."""
    folder = root / stage / str(number)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    outputs = {name.split("/")[0] for name in files}
    record = {"inputs": inputs or {}, "outputs": {key: digest_folder(folder / key) for key in outputs}}
    (folder / "execution.json").write_text(json.dumps(record))
    return folder


class Root:
    """A root in which models are trained and judged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    def next(self) -> int:
        self.count += 1
        return self.count

    def trained(self, name: str) -> dict[str, str]:
        """Digests of a model's folder and of its vocabulary's."""
        graph = execution(self.path, "transform", self.next(), {"transform_graph/vocabulary.tsv": name})
        model = execution(self.path, "trainer", self.next(), {"model/weights": name})
        return {
            "transform_graph": digest_folder(graph / "transform_graph"),
            "model": digest_folder(model / "model"),
        }

    def judged(self, model: dict[str, str], verdict: str = "BLESSED") -> Path:
        return execution(self.path, "evaluator", self.next(), {f"blessing/{verdict}": ""}, model)

    def latest(self, but: str | None = None) -> str | None:
        found = latest_blessed_model(self.path, but)
        if found is None:
            return None
        name = (found.model / "weights").read_text()
        assert (found.transform_graph / "vocabulary.tsv").read_text() == name
        return name


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def test_latest_blessed_model_of_an_empty_root_is_none(root: Root) -> None:
    assert root.latest() is None


def test_latest_blessed_model_is_that_of_the_newest_blessing(root: Root) -> None:
    a, b, c = (root.trained(name) for name in "abc")
    root.judged(b)
    root.judged(a)
    root.judged(c, "NOT_BLESSED")
    assert root.latest() == "a"


def test_latest_blessed_model_has_ten_after_nine(root: Root) -> None:
    a = root.trained("a")
    root.count = 8
    b = root.trained("b")  # the executions 9 and 10
    root.count = 8
    root.judged(a)
    root.judged(b)
    assert root.latest() == "b"


def test_latest_blessed_model_but_one_is_the_one_before(root: Root) -> None:
    a, b = root.trained("a"), root.trained("b")
    root.judged(a)
    root.judged(b)
    assert root.latest(but=b["model"]) == "a"
    root.judged(b)  # again
    assert root.latest(but=b["model"]) == "a"
    assert root.latest(but=a["model"]) == "b"


@pytest.mark.parametrize("damage", ["model", "transform_graph"])
def test_latest_blessed_model_that_is_not_whole_any_more_is_passed_over(root: Root, damage: str) -> None:
    a, b = root.trained("a"), root.trained("b")
    root.judged(a)
    root.judged(b)
    (file,) = root.path.glob("trainer/4/model/*" if damage == "model" else "transform/3/transform_graph/*")
    file.write_text("c")
    assert root.latest() == "a"


def test_latest_blessed_model_that_was_rolled_back_from_is_passed_over(root: Root) -> None:
    a, b = root.trained("a"), root.trained("b")
    root.judged(a)
    root.judged(b)
    folder = root.path / "pusher" / "9" / "pushed_model"
    folder.mkdir(parents=True)
    Push("serving/x/3", 3, "bytes", a["model"], withdrawn=b["model"]).save(folder)
    assert root.latest() == "a"
