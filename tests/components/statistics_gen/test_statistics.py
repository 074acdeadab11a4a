"""All statistics of random Unicode against the naive count, from blocks of any size; and from any workers."""

import json
import math
import statistics
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.documents import Documents
from components.statistics_gen.blocks import cut_blocks
from components.statistics_gen.statistics import (
    NUMBERS,
    SplitStatistics,
    common,
    custom_number,
    field_values,
    load,
)
from tests.components.statistics_gen.reference import (
    count_without_beam,
    naive_lengths,
    naive_numbers,
    naive_words,
    ranked,
    run_stage,
    write_examples,
)
from tests.processes import workers_started_by

# Letters of one to four bytes, composed and decomposed; whitespace of all kinds; suspects.
ALPHABET = "ab é\u0301\u0345Ω\u2126ﬁ漢𝄞Жש\n\t\r\x85\u2028\xa0\x00\x1c\u200b\u202e\ufffd\ue000\u00ad"
TEXTS = st.lists(st.text(ALPHABET, max_size=25) | st.text(st.characters(codec="utf-8", exclude_categories=["Cn"])))


def count(splits: dict[str, list[str]], block: int) -> dict[str, SplitStatistics]:
    with tempfile.TemporaryDirectory() as folder:
        examples = write_examples(Path(folder) / "examples", splits)
        (Path(folder) / "work").mkdir()
        return count_without_beam(examples, Path(folder) / "work", block)


@given(train=TEXTS, other=TEXTS, block=st.integers(1, 40))
@example(train=["a" * 30 + " b", "", "b a"], other=["", "b\u0301 a", "b a", "b a"], block=9)  # a document in parts
@example(train=["ab", "cd"], other=["e\u0301", "e", "\u0301"], block=100)  # words and marks that must not run together
@example(train=["a \u0301" * 9, "\x00 \x00 \x00 \x00"], other=[""], block=2)  # a suspect document, of several parts
@example(train=[], other=[], block=5)
@settings(max_examples=80, deadline=None)
def test_statistics_any_documents_are_the_naive_count(train: list[str], other: list[str], block: int) -> None:
    found = count({"train": train, "eval": other}, block)
    for name, texts in (("train", train), ("eval", other)):
        split = found[name]
        assert split.documents == len(texts)
        assert {number: split[number] for number in NUMBERS} == naive_numbers(texts, train)
        assert list(split.characters.items()) == ranked(Counter("".join(texts)))
        assert list(split.words.items()) == naive_words(texts)
        if texts:
            for number, value in naive_lengths(texts).items():
                assert getattr(split.lengths, number) == pytest.approx(value, rel=1e-12)


def test_statistics_blocks_do_cut_what_the_property_reads(tmp_path: Path) -> None:
    # Guard: the examples above are of several blocks, whole documents, parts and fields among them.
    examples = write_examples(tmp_path, {"train": ["aaaa bbbb cccc dddd", "", "e", "f"]})
    kinds = Counter(block.kind for block in cut_blocks(Documents.splits(examples), 6))
    assert kinds["part"] == 2
    assert kinds["documents"] >= 1
    assert kinds["fields"] > 2


def test_statistics_keep_only_the_most_frequent_words_and_count_all(tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples", {"train": ["b b a a c d"], "eval": ["e a b x y"]})
    (tmp_path / "work").mkdir()
    found = count_without_beam(examples, tmp_path / "work", block=100, keep=2)
    assert found["train"].words == {"a": 2, "b": 2}
    assert found["train"]["distinct_words"] == 4
    assert found["eval"]["unknown_words"] == 3


def test_statistics_scripts_are_those_of_the_characters() -> None:
    found = count({"train": ["Aé я漢ひ\u0301, 1😀"]}, block=1000)["train"]
    assert found.scripts == {"Common": 5, "Latin": 2, "Cyrillic": 1, "Han": 1, "Hiragana": 1, "Inherited": 1}
    # As many as characters: nothing is left out.
    assert sum(found.scripts.values()) == found["characters"] == 11


LABELS = st.sampled_from(["yes", "no", "", "ja\nnein", "3", "é"])
VALUES = st.one_of(st.none(), LABELS, st.integers(-3, 3), st.booleans(), st.floats(-9, 9), st.just([1]), st.just({}))


@given(st.lists(st.fixed_dictionaries({}, optional={"a": LABELS, "b": VALUES, "n": st.integers()}), min_size=1))
@settings(max_examples=60, deadline=None)
def test_statistics_fields_are_the_naive_count(documents: list[dict]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        texts = [""] * len(documents)
        examples = write_examples(Path(folder) / "examples", {"train": texts}, {"train": documents})
        (Path(folder) / "work").mkdir()
        fields = count_without_beam(examples, Path(folder) / "work", block=50)["train"].fields
    values = {name: [d[name] for d in documents if d.get(name) is not None] for name in ("a", "b", "n")}
    assert fields.keys() == {name for name, found in values.items() if found}
    for name, feature in fields.items():
        assert common(feature).num_non_missing == len(values[name])
        assert common(feature).num_missing == len(documents) - len(values[name])
    if values["a"]:
        assert list(field_values(fields["a"]).items()) == ranked(Counter(values["a"]))
        assert fields["a"].string_stats.unique == len(set(values["a"]))
        assert fields["a"].string_stats.avg_length == pytest.approx(statistics.fmean(map(len, values["a"])))
    if values["n"]:
        assert fields["n"].num_stats.mean == pytest.approx(statistics.fmean(values["n"]), rel=1e-9, abs=1e-9)
        assert fields["n"].num_stats.std_dev == pytest.approx(statistics.pstdev(map(float, values["n"])), rel=1e-6)
        assert (fields["n"].num_stats.min, fields["n"].num_stats.max) == (
            float(min(values["n"])),
            float(max(values["n"])),
        )
        assert custom_number(fields["n"], "distinct_values") == len(set(values["n"]))
    kinds = Counter(
        "text" if isinstance(v, str)
        else "true_false" if isinstance(v, bool)
        else "integer" if isinstance(v, int)
        else "fraction" if isinstance(v, float)
        else "other"
        for v in values["b"]
    )  # fmt: skip
    for kind, number in kinds.items():
        assert custom_number(fields["b"], f"values_{kind}") == number


def test_statistics_strange_fields_are_counted_and_kept_apart(tmp_path: Path) -> None:
    documents = [
        {"text": "mine", "long": "x" * 5000 + str(i), "huge": 10**400, "nan": math.nan, "../../up": "y", "null": None}
        for i in range(3)
    ]
    examples = write_examples(tmp_path / "examples", {"train": ["", "", ""]}, {"train": documents})
    (tmp_path / "work").mkdir()
    fields = count_without_beam(examples, tmp_path / "work", block=100)["train"].fields
    assert sorted(fields) == ["../../up", "fields.text", "huge", "long", "nan"]
    assert fields["long"].string_stats.unique == 3  # the values differ in their last character alone
    assert all(len(value) < 200 for value in field_values(fields["long"]))
    assert fields["huge"].WhichOneof("stats") == fields["nan"].WhichOneof("stats") == "struct_stats"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["examples", "work"]


def test_statistics_field_of_one_split_is_missing_in_the_other(tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples", {"train": ["a", "b"], "eval": ["c"]}, {"train": [{"x": 1}, {}]})
    (tmp_path / "work").mkdir()
    found = count_without_beam(examples, tmp_path / "work", block=100)
    assert common(found["eval"].fields["x"]).num_missing == 1
    assert (common(found["train"].fields["x"]).num_missing, found["train"].fields["x"].num_stats.mean) == (1, 1.0)


def test_statistics_histograms_hold_every_document_and_share_their_bars() -> None:
    found = count({"train": ["a" * n for n in (0, 1, 5, 900)], "eval": ["b" * 40]}, block=100)
    for split in found.values():
        standard, quantiles = split.lengths.histograms
        assert sum(bucket.sample_count for bucket in standard.buckets) == split.documents
        assert sum(bucket.sample_count for bucket in quantiles.buckets) == pytest.approx(split.documents)
        assert len(quantiles.buckets) == 10
    bars = [[(b.low_value, b.high_value) for b in s.lengths.histograms[0].buckets] for s in found.values()]
    assert bars[0] == bars[1]
    assert (bars[0][0][0], bars[0][-1][1]) == (0, 900)


# ---- The stage, with Beam -------------------------------------------------------------------------------------------

CORPUS = {
    "train": [f"word{i % 17} é漢 {i} " * (i % 23) for i in range(120)] + ["long " * 400],
    "eval": ["", "word3 новое \x07", "e\u0301"],
    "test": ["word3 é漢 3 "],
}
FIELDS = {"train": [{"label": f"l{i % 3}", "size": i / 7} for i in range(121)], "eval": [{"label": "l9"}] * 3}


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_stage_writes_one_file_a_split_and_the_page(tmp_path: Path) -> None:
    folder = run_stage(write_examples(tmp_path / "examples", CORPUS, FIELDS), tmp_path / "statistics")
    assert sorted(everything(folder)) == [
        "Split-eval/FeatureStats.pb",
        "Split-test/FeatureStats.pb",
        "Split-train/FeatureStats.pb",
        "statistics.html",
    ]
    found = load(folder)
    assert list(found) == ["eval", "test", "train"]
    assert {n: found["eval"][n] for n in NUMBERS} == naive_numbers(CORPUS["eval"], CORPUS["train"])


def test_stage_two_processes_write_the_same_bytes_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = write_examples(tmp_path / "examples", CORPUS, FIELDS)
    monkeypatch.setattr(
        "components.statistics_gen.blocks.cut_blocks", lambda splits, size=500: cut_blocks(splits, size)
    )
    one = run_stage(examples, tmp_path / "one")
    # In a process of its own, because Beam hangs when one of its workers dies.
    code = f"""
        from pathlib import Path
        from components.statistics_gen import blocks
        from tests.components.statistics_gen.reference import run_stage
        cut = blocks.cut_blocks
        blocks.cut_blocks = lambda splits: cut(splits, 500)[::-1]
        run_stage(
            Path({str(examples)!r}), Path({str(tmp_path / "two")!r}),
            direct_num_workers=2, direct_running_mode="multi_processing",
        )
    """
    assert workers_started_by(code) >= 2  # guard
    assert len(cut_blocks(Documents.splits(examples), 500)) > 20  # guard: there is something to share
    assert everything(one) == everything(tmp_path / "two")


def test_stage_needs_no_tensorflow(tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples", CORPUS)
    code = f"""
        import sys
        from pathlib import Path
        from tests.components.statistics_gen.reference import run_stage
        run_stage(Path({str(examples)!r}), Path({str(tmp_path / "statistics")!r}))
        sys.exit("tensorflow" in sys.modules)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("content", [b"", b"\xff\xff no message"])
def test_load_of_what_is_no_statistics_says_which_file(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match="Run statistics_gen again"):
        load(tmp_path)
    (tmp_path / "Split-train").mkdir()
    (tmp_path / "Split-train" / "FeatureStats.pb").write_bytes(content)
    with pytest.raises(ValueError, match=r"Split-train/FeatureStats\.pb"):
        load(tmp_path)


def test_write_examples_of_this_test_is_what_the_writer_writes(tmp_path: Path) -> None:
    write_examples(tmp_path, {"train": ["é"]}, {"train": [{"x": 1}]})
    assert json.loads((tmp_path / "Split-train" / "documents.jsonl").read_text()) == {"id": "train-0", "x": 1}
