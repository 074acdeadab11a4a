"""The page: whole, self-contained, and nothing of a document is markup in it."""

import html.parser
import re
from pathlib import Path

import pytest

from components.statistics_gen.page import render, visible
from components.statistics_gen.stage import _TEMPLATE
from tests.components.statistics_gen.reference import count_without_beam, write_examples

EVIL = "<script>alert(1)</script> \"quoted\" & {{ 7 * 7 }} <b onload='x'>"
VOID = {"meta", "rect", "line"}


class Checker(html.parser.HTMLParser):
    """Fails on a tag that is not closed, and collects tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page(folder: Path, corpus: dict[str, list[str]], fields: dict | None = None) -> tuple[str, Checker]:
    examples = write_examples(folder / "examples", corpus, fields or {})
    (folder / "work").mkdir()
    text = render(count_without_beam(examples, folder / "work", 1000), _TEMPLATE)
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    return text, checker


def test_page_of_evil_documents_holds_no_tag_of_theirs(tmp_path: Path) -> None:
    fields = {"train": [{EVIL: EVIL}, {EVIL: EVIL}], "eval": [{"label": "<i>"}]}
    text, checker = page(tmp_path, {"train": [EVIL, EVIL], "eval": [EVIL + "\x07\u202e"]}, fields)
    assert not checker.tags & {"script", "b", "i", "img", "iframe", "link"}
    assert not any(name.startswith("on") for name in checker.attributes)
    assert "&lt;script&gt;" in text
    assert "49" not in re.findall(r">\s*(\d+)\s*<", text)


def test_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    text, checker = page(tmp_path, {"train": ["some words"], "eval": ["more"]})
    assert not re.search(r"https?:|url\(|@import", text)
    assert not checker.attributes & {"src", "href", "xlink:href"}


def test_page_shows_the_splits_train_first_with_their_numbers(tmp_path: Path) -> None:
    text, checker = page(tmp_path, {"eval": ["abc"], "train": ["a b c d" * 200], "zoo": ["x"]})
    words = " ".join(" ".join(checker.text).split())
    assert "train: 1 document, 1,400 characters · eval: 1 document, 3 characters · zoo: 1 document" in words
    assert text.count('<svg class="histogram"') == 3


def test_page_warns_of_what_is_wrong_and_of_nothing_else(tmp_path: Path) -> None:
    bad, _ = page(tmp_path / "bad", {"train": ["x", "x", ""], "eval": ["x\x07", "x"]})
    for sentence in (
        "train: 1 of 3 documents are empty",
        "train: 1 of 3 documents repeat an earlier one",
        "eval: 1 of 2 documents are in train, too",
        "eval: 1 control characters",
        "eval: 1 characters that train lacks",
    ):
        assert f"<li>{sentence}</li>" in bad
    good, _ = page(tmp_path / "good", {"train": ["one two", "three four"], "eval": ["one three"]})
    assert "<li>" not in good
    assert "No empty, repeated or leaked documents" in good


def test_page_of_equal_splits_calls_nothing_leaked(tmp_path: Path) -> None:
    text, _ = page(tmp_path, {"train": ["hello"], "eval": ["hello"]})
    assert "The documents are those of train." in text
    assert "<li>" not in text


@pytest.mark.parametrize("corpus", [{"train": [], "eval": []}, {"train": ["", ""], "eval": [""]}, {"only": ["a"]}])
def test_page_of_hardly_anything_is_a_page(tmp_path: Path, corpus: dict[str, list[str]]) -> None:
    page(tmp_path, corpus)


def test_visible_text_is_short_and_without_invisible_characters() -> None:
    assert visible("a\u202eb\x07c") == "a⟨U+202E⟩b⟨U+0007⟩c"
    assert visible("x" * 100) == "x" * 40 + "…"
