"""Answers in bulk: those that the signature gives one by one, whatever workers, batches and files there are."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.bulk_inferrer import bulk, handler, records
from components.bulk_inferrer.bulk import infer
from components.heavy_imports import import_quietly
from pipeline.errors import UsageError
from tests.components.bulk_inferrer.conftest import of_task
from tests.processes import workers_started_by

OPTIONS = {"max_length": "12", "temperature": "0.9", "top_k": "5"}


def lines(count: int, seed: int = 0) -> list[str]:
    drawn = random.Random(seed)
    return ["".join(drawn.choices(" abcé→🙂", k=drawn.choice([0, 1, 3, 9, 40]))) for _ in range(count)]


@pytest.fixture
def prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """23 lines in a file of the current folder, which make three shards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(records, "LINES_OF_A_PIECE", 8)
    path = Path("prompts.txt")
    path.write_text("\n".join(lines(23)), encoding="utf-8")
    return path


def content(folder: Path) -> dict[str, bytes]:
    """All but the summary, which tells the time."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "summary.json"}


def rows(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted(folder.glob("answers-*"))
        for line in path.read_text("utf-8").split("\n")[:-1]
    ]


def assert_same_answers(found: Any, expected: Any) -> None:
    """Equal, but for the last digits of numbers: some CPUs add up the last rows of a batch in another order."""
    if isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-5)
    elif isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            assert_same_answers(one, other)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        assert_same_answers(list(found.values()), list(expected.values()))
    else:
        assert found == expected


@pytest.mark.parametrize(
    "other", [{"a": [1, "x", -2.01]}, {"a": [1, "y", -2.0]}, {"a": [2, "x", -2.0]}, {"a": [1, "x"]}]
)
def test_other_answers_are_not_the_same(other: dict[str, Any]) -> None:
    assert_same_answers({"a": [1, "x", -2.000001]}, {"a": [1, "x", -2.0]})
    with pytest.raises((AssertionError, ValueError)):
        assert_same_answers(other, {"a": [1, "x", -2.0]})


def test_generate_answers_are_those_of_the_signature_for_each_record_alone(full: Path, prompts: Path) -> None:
    summary = infer(full, [str(prompts)], Path("out"), signature="generate", seed=5, options=OPTIONS)

    tf = import_quietly("tensorflow")
    generate = tf.saved_model.load(str(full)).signatures["generate"]
    found = rows(Path("out"))
    assert [row["key"] for row in found] == [f"prompts.txt:{n}" for n in range(1, 24)]
    for row, text in zip(found, lines(23), strict=True):
        alone = generate(
            prompt=tf.constant([text]),
            max_length=tf.constant([12]),
            temperature=tf.constant([0.9]),
            top_k=tf.constant([5]),
            top_p=tf.constant([1.0]),
            seed=tf.constant([row["seed"]], tf.int64),
        )
        assert row["text"] == alone["text"][0].numpy().decode()
        assert row["finished"] == bool(alone["finished"][0])
        np.testing.assert_allclose(row["log_prob"], alone["log_prob"][0], rtol=1e-5)
    assert sorted(path.name for path in Path("out").iterdir()) == [
        *(f"answers-{n:05d}-of-00003.jsonl" for n in range(3)),
        "summary.json",
    ]
    assert json.loads(Path("out/summary.json").read_text()) == summary
    assert {name: summary[name] for name in ("read", "answered", "bad", "seed", "signature")} == {
        "read": 23,
        "answered": 23,
        "bad": 0,
        "seed": 5,
        "signature": "generate",
    }
    # Each character is a token here, and `<unk>` and `<pad>` are never written.
    assert summary["tokens"] == sum(len(row["text"]) - len(text) for row, text in zip(found, lines(23), strict=True))
    assert summary["tokens"] > 23  # guard: something was written
    assert summary["tokens_per_second"] > 0


@pytest.mark.slow
def test_answers_do_not_depend_on_batches(full: Path, prompts: Path) -> None:
    for size in (1, 5, 128):
        infer(full, [str(prompts)], Path(f"out{size}"), options=OPTIONS, batch_size=size)
    infer(full, [str(prompts)], Path("other"), options=OPTIONS, seed=1)
    for size in (5, 128):
        assert content(Path(f"out{size}")).keys() == content(Path("out1")).keys()
        assert_same_answers(rows(Path(f"out{size}")), rows(Path("out1")))
    # guard: there was something to be drawn
    assert [row["text"] for row in rows(Path("out1"))] != [row["text"] for row in rows(Path("other"))]


def test_answers_of_named_records_do_not_depend_on_what_is_beside_them(full: Path, prompts: Path) -> None:
    given = [json.dumps({"id": f"r{n}", "t": text}) for n, text in enumerate(lines(9))]
    Path("all.jsonl").write_text("\n".join(given))
    Path("some.jsonl").write_text("\n".join(reversed(given[3:7])))
    for name in ("all", "some"):
        infer(full, [f"{name}.jsonl"], Path(name), field="t", key="id", options=OPTIONS)
    by_key = {row["key"]: row for row in rows(Path("all"))}
    assert_same_answers([by_key[row["key"]] for row in rows(Path("some"))], rows(Path("some")))
    assert [row["key"] for row in rows(Path("some"))] == ["r6", "r5", "r4", "r3"]


FILES = {"a.jsonl": 7, "b.jsonl": 290, "c.jsonl": 153}


def write_files_with_bad_records() -> None:
    """`FILES`, of so many records; of ten, one each is not JSON, lacks its field, is not UTF-8."""
    texts = iter(lines(sum(FILES.values()), seed=1))
    for name, size in FILES.items():
        records = [json.dumps({"t": next(texts)}).encode() for _ in range(size)]
        records[3::10] = [b'{"t": ' for _ in records[3::10]]
        records[4::10] = [b'{"u": "abc"}' for _ in records[4::10]]
        records[5::10] = [b'{"t": "\xff"}' for _ in records[5::10]]
        Path(name).write_bytes(b"\n".join(records))


@pytest.mark.slow
def test_more_workers_write_the_same_bytes_as_one(full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(records, "LINES_OF_A_PIECE", 32)
    write_files_with_bad_records()
    summary = infer(full, list(FILES), Path("1"), field="t", options=OPTIONS)
    assert (summary["read"], summary["answered"]) == (450, 450 - 3 * (1 + 29 + 15))
    assert len(content(Path("1"))) > 12  # guard: enough shards for all workers, and bad records
    listed = [json.loads(line) for line in Path("1/bad_records.jsonl").read_text("utf-8").splitlines()]
    numbers = [(name, n) for name, size in FILES.items() for n in range(1, size + 1)]
    assert [(bad["file"], bad["line"]) for bad in listed] == [each for each in numbers if each[1] % 10 in (4, 5, 6)]
    for workers in (2, 3):
        code = f"""
            import os
            from pathlib import Path
            from components.bulk_inferrer import bulk, records

            os.chdir({str(tmp_path)!r})
            records.LINES_OF_A_PIECE = 32
            files, options = {list(FILES)!r}, {OPTIONS!r}
            bulk.infer(Path({str(full)!r}), files, Path("{workers}"), field="t", options=options, workers={workers})
        """
        assert workers_started_by(code, seconds=500) == workers  # guard; each process imports TensorFlow
        assert content(Path("1")) == content(Path(str(workers)))


def test_score_bad_records_are_listed_and_counted_and_the_others_answered(full: Path, prompts: Path) -> None:
    Path("mixed.txt").write_bytes(b"abc\nb\xffd\n" + b"a" * 30 + b"\nc")
    summary = infer(full, ["mixed.txt", str(prompts)], Path("out"), signature="score", longest=29)
    long = [n for n, text in enumerate(lines(23), 1) if len(text.encode()) > 29]
    found = [json.loads(line) for line in Path("out/bad_records.jsonl").read_text().splitlines()]
    assert [(bad["file"], bad["line"]) for bad in found] == [
        ("mixed.txt", 2),
        ("mixed.txt", 3),
        *(("prompts.txt", n) for n in long),
    ]
    assert "UTF-8" in found[0]["reason"]
    assert "29 bytes at most: it has 30" in found[1]["reason"]
    answered = rows(Path("out"))
    assert (summary["read"], summary["answered"], summary["bad"]) == (27, len(answered), len(found))
    assert len(answered) + len(found) == 27
    assert long  # guard
    tf = import_quietly("tensorflow")
    alone = tf.saved_model.load(str(full)).signatures["score"](text=tf.constant(["abc", "c"]))
    assert [row["key"] for row in answered[:2]] == ["mixed.txt:1", "mixed.txt:4"]
    np.testing.assert_allclose([row["log_prob"] for row in answered[:2]], alone["log_prob"], rtol=1e-5)
    assert [row["tokens"] for row in answered[:2]] == [4, 2]
    assert summary["tokens"] == sum(row["tokens"] for row in answered)


def test_sample_several_texts_of_a_record_are_a_list(full: Path, prompts: Path) -> None:
    infer(full, [str(prompts)], Path("one"), signature="sample", options={**OPTIONS, "samples": "1"})
    infer(full, [str(prompts)], Path("three"), signature="sample", options={**OPTIONS, "samples": "3"})
    for one, three in zip(rows(Path("one")), rows(Path("three")), strict=True):
        assert [three["text"][0], len(three["text"]), len(three["tokens"])] == [one["text"], 3, 3]
    assert any(len(set(row["text"])) == 3 for row in rows(Path("three")))


def test_tfrecord_has_the_rows_of_jsonl(full: Path, prompts: Path) -> None:
    for format in ("jsonl", "tfrecord"):
        infer(full, [str(prompts)], Path(format), signature="score", format=format)
    tf = import_quietly("tensorflow")
    files = sorted(str(path) for path in Path("tfrecord").glob("answers-*-of-00003.tfrecord"))
    examples = [tf.train.Example.FromString(each.numpy()).features.feature for each in tf.data.TFRecordDataset(files)]
    found = [
        {
            "key": each["key"].bytes_list.value[0].decode(),
            "log_prob": each["log_prob"].float_list.value[0],
            "tokens": each["tokens"].int64_list.value[0],
        }
        for each in examples
    ]
    assert found == rows(Path("jsonl"))


def test_output_is_whole_or_absent_and_never_overwritten(
    full: Path, prompts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bulk, "write_shard", fail)
        with pytest.raises(RuntimeError, match="no luck"):
            infer(full, [str(prompts)], Path("out"), signature="score")
    assert [path.name for path in Path().iterdir()] == ["prompts.txt"]

    killed = Path(".out.partial/out")
    killed.mkdir(parents=True)
    (killed / "answers-00000-of-00009.jsonl").touch()
    infer(full, [str(prompts)], Path("out"), signature="score")
    assert sorted(content(Path("out"))) == [f"answers-{n:05d}-of-00003.jsonl" for n in range(3)]
    assert sorted(path.name for path in Path().iterdir()) == ["out", "prompts.txt"]

    before = content(Path("out"))
    with pytest.raises(UsageError, match="--output must not exist yet"):
        infer(full, [str(prompts)], Path("out"), signature="generate")
    assert content(Path("out")) == before


def fail(*_: Any) -> None:
    raise RuntimeError("no luck")


@pytest.mark.parametrize(
    ("files", "arguments", "message"),
    [
        (["nowhere.txt"], {}, "FILE must be an existing file"),
        (["a.jsonl"], {}, "--field must say which field"),
        (["a.txt.gz"], {}, "FILE must not be compressed"),
        (["a.txt", "a.txt"], {}, "FILE must be given once"),
        (["a.txt"], {"key": "id"}, "--key must come with --field"),
        (["a.txt"], {"signature": "nosuch"}, "--signature must be one"),
    ],
)
def test_infer_bad_usage_is_refused_before_anything_is_written(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], arguments: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "a.txt.gz", "a.txt"):
        Path(name).touch()
    with pytest.raises(UsageError, match=message):
        infer(full, files, Path("out"), **arguments)
    assert len(list(Path().iterdir())) == 3


def test_no_records_make_an_empty_output(full: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    summary = infer(full, [str(tmp_path / "empty")], tmp_path / "out", signature="score")
    assert (summary["read"], summary["answered"], summary["tokens"]) == (0, 0, 0)
    assert content(tmp_path / "out") == {"answers-00000-of-00001.jsonl": b""}


def test_shards_tell_how_much_of_the_files_is_done(prompts: Path) -> None:
    shards = records.divide([str(prompts)])
    layout = records.Layout(None, None, 1000)
    sizes = [bulk.read_shard(numbered, layout).size for numbered in enumerate(shards)]
    assert len(sizes) == 3
    assert min(sizes) > 0
    assert sum(sizes) == prompts.stat().st_size == sum(map(bulk._size, shards))


def test_batches_are_of_like_length_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "_LARGEST_BATCH", 12)
    texts = {3: "aaaa", 4: "", 6: "bbbbbbbbbbbbbbbb", 7: "cc", 8: "dddd", 9: "eeee", 10: "ffff", 12: "g"}
    assert list(handler.batches(texts, 3)) == [[4, 12, 7], [3, 8, 9], [10], [6]]


@pytest.mark.parametrize("kind", ["classification", "tagging"])
@pytest.mark.slow
def test_models_of_examples_answer_as_their_signature(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = of_task(tmp_path / "model", kind)
    texts = ["up left", "down", "", "very very up right down", "left"]
    Path("texts.txt").write_text("\n".join(texts) + "\n")
    for size in (2, 100):
        summary = infer(model, ["texts.txt"], Path(f"out{size}"), batch_size=size)
    tf = import_quietly("tensorflow")
    signature = tf.saved_model.load(str(model)).signatures["serving_default"]
    found = rows(Path("out100"))
    assert_same_answers(rows(Path("out2")), found)
    for row, text in zip(found, texts, strict=True):
        alone = signature(text=tf.constant([text]))
        if kind == "classification":
            assert row["label"] == alone["label"][0].numpy().decode()
            np.testing.assert_allclose(row["probabilities"], alone["probabilities"][0], rtol=1e-5)
        else:
            count = len(text.split())
            assert row["tags"] == [tag.decode() for tag in alone["tags"][0].numpy()[:count]]
            assert len(row["tags"]) == len(row["probabilities"]) == count
            np.testing.assert_allclose(
                np.reshape(row["probabilities"], (count, 3)), alone["probabilities"][0][:count], rtol=1e-5
            )
    assert summary["classes"] == [name.decode() for name in signature(text=tf.constant(["up"]))["classes"][0].numpy()]
    assert summary["tokens"] == sum(len(text.split()) for text in texts)
    assert set(found[0]) == {"key", "probabilities", "label" if kind == "classification" else "tags"}


@pytest.mark.slow
def test_record_that_the_graph_refuses_costs_no_other_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = of_task(tmp_path / "model", "captioning of classes")
    Path("labels.txt").write_text("dive\nclimb\njump\ndive\nturn\n")
    summary = infer(model, ["labels.txt"], Path("out"), signature="caption", options={"beam_width": "2"})
    assert (summary["read"], summary["answered"], summary["bad"]) == (5, 4, 1)
    (bad,) = [json.loads(line) for line in Path("out/bad_records.jsonl").read_text().splitlines()]
    assert (bad["file"], bad["line"]) == ("labels.txt", 3)
    assert "label must be one of the classes" in bad["reason"]
    assert "jump" in bad["reason"]
    found = {row["key"]: row["text"] for row in rows(Path("out"))}
    assert found["labels.txt:1"] == found["labels.txt:4"]
    tf = import_quietly("tensorflow")
    signature = tf.saved_model.load(str(model)).signatures["caption"]
    for line, label in ((1, "dive"), (2, "climb"), (5, "turn")):
        alone = signature(label=tf.constant([label]), beam_width=tf.constant([2]))
        assert found[f"labels.txt:{line}"] == alone["text"][0].numpy().decode()
