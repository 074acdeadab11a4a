"""The Transform stage's files against the naive reference, and what it refuses."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from components.transform.manifest import Manifest
from components.transform.reader import LaneReader
from components.transform.stage import Transform
from components.transform.tokenizers import CharTokenizer, load
from pipeline.config import BeamConfig, TransformConfig
from tests.components.transform.reference import (
    CASES,
    Case,
    Transformed,
    everything,
    parse_tfrecord,
    run_transform,
    tokens,
    write_examples,
)

SPLITS = ("train", "eval", "test")


def transform(folder: Path, splits: dict[str, Sequence[str]], **settings: Any) -> Transformed:
    return run_transform(write_examples(folder / "examples", splits), folder, **settings)


def test_cases_lanes_and_windows_divide_the_stream_and_do_not() -> None:
    # Guard: the cases are what their names say.
    rests = {
        name: (
            (len(case.stream("train")) - 1) % case.lanes,
            (len(case.stream("train")) - 1) % (case.lanes * case.window_length),
        )
        for name, case in CASES.items()
    }
    assert rests["dividing"] == (0, 0)
    assert rests["dividing_lanes_only"][0] == 0
    assert rests["dividing_lanes_only"][1] > 0
    assert rests["37_documents"][0] > 0
    assert len(CASES["37_documents"].train) == 37
    assert max(map(len, CASES["short_documents"].train)) < CASES["short_documents"].window_length


@pytest.mark.parametrize("split", SPLITS)
def test_stage_lane_files_hold_the_naive_windows(case: Case, transformed: Transformed, split: str) -> None:
    dtype = "uint8" if len(case.token_ids) + len(case.specials) <= 256 else "uint16"
    files = sorted((transformed.examples / f"Split-{split}").iterdir())
    lanes = [[tokens(record, dtype) for record in parse_tfrecord(path)] for path in files]
    assert lanes == case.lane_windows(split)


def test_stage_vocabulary_is_the_train_split_s(case: Case, transformed: Transformed) -> None:
    vocabulary = load(transformed.graph)
    ids = {token: i for i, token in enumerate(vocabulary.tokens)}
    assert ids == {f"<{name}>": i for i, name in enumerate(case.specials)} | case.token_ids


@pytest.mark.parametrize("split", SPLITS)
def test_stage_manifest_numbers_equal_a_recount(case: Case, transformed: Transformed, split: str) -> None:
    counts = Manifest.load(transformed.examples).splits[split]
    text = "".join(case.splits[split])
    unknown = sum(n for character, n in Counter(text).items() if character not in case.token_ids)
    lanes = case.lane_windows(split)
    predictions = len(case.stream(split)) - 1
    assert (counts.documents, counts.characters) == (len(case.splits[split]), len(text))
    assert (counts.tokens, counts.predictions) == (predictions + 1, predictions)
    assert (counts.lanes, counts.windows) == (len(lanes), len(lanes[0]))
    assert counts.padding == len(lanes) * len(lanes[0]) * case.window_length - predictions
    assert counts.unknown == unknown
    assert counts.unknown_rate == pytest.approx(unknown / len(text) if text else 0)
    assert counts.dropped_tail == 0


def test_stage_manifest_says_what_a_reader_needs(case: Case, transformed: Transformed) -> None:
    manifest = Manifest.load(transformed.examples)
    assert manifest.vocabulary_size == len(case.token_ids) + len(case.specials)
    assert manifest.window_length == case.window_length
    assert manifest.dtype == ("uint16" if manifest.vocabulary_size > 256 else "uint8")


def test_stage_leaves_no_other_file(case: Case, transformed: Transformed) -> None:
    assert set(everything(transformed.graph)) == {"tokenizer.json", "vocabulary.tsv"}
    assert set(everything(transformed.examples)) == {"manifest.json"} | {
        f"Split-{split}/lane-{lane:05d}-of-{case.lane_count(split):05d}.tfrecord"
        for split in SPLITS
        for lane in range(case.lane_count(split))
    }


def test_stage_hello_is_end_h_e_l_l_o_end(tmp_path: Path) -> None:
    result = transform(
        tmp_path,
        {split: ["hello"] for split in SPLITS},
        lanes=1,
        window_length=3,
        specials=("end",),
    )
    (path,) = (result.examples / "Split-train").iterdir()
    # <end> e h l o
    assert parse_tfrecord(path) == [bytes([0, 2, 1, 3]), bytes([3, 3, 4, 0])]


def test_stage_min_count_makes_rare_characters_unknown(transformed_case: Callable[[str], Transformed]) -> None:
    result = transformed_case("rare_characters")
    tokenizer = load(result.graph)
    assert isinstance(tokenizer, CharTokenizer)
    characters = tokenizer.characters
    assert "!" in characters  # twice in the train split
    assert "?" not in characters  # once
    splits = Manifest.load(result.examples).splits
    assert splits["train"].unknown == 1
    assert splits["train"].unknown_rate == pytest.approx(1 / 203)
    assert splits["eval"].unknown == 1  # the x of "x é"
    assert splits["eval"].unknown_rate == pytest.approx(1 / 10)


@pytest.mark.parametrize("name", ["37_documents", "empty_documents"])
def test_stage_block_size_changes_no_byte(
    tmp_path: Path, name: str, transformed_case: Callable[[str], Transformed]
) -> None:
    case, small = CASES[name], transformed_case(name)
    whole = transform(tmp_path, case.splits, **case.settings)
    assert everything(whole.graph) == everything(small.graph)
    assert everything(whole.examples) == everything(small.examples)


def test_stage_corpus_of_one_window_per_lane_is_enough(tmp_path: Path) -> None:
    result = transform(tmp_path, {"train": ["a" * 11], "eval": ["a"]}, lanes=3, window_length=4)
    assert Manifest.load(result.examples).splits["train"].windows == 1


def test_stage_corpus_shorter_than_one_window_per_lane_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must fill one window per lane") as caught:
        transform(tmp_path, {"train": ["a" * 10], "eval": ["a"]}, lanes=3, window_length=4)
    assert str(caught.value) == (
        "Transform: the train split must fill one window per lane, lanes × window_length = 3 × 4 = 12 tokens. "
        "Received: 11. Use a longer corpus, fewer transform.lanes or a shorter transform.window_length."
    )
    assert everything(tmp_path / "transform_graph") == everything(tmp_path / "transformed_examples") == {}


def test_stage_eval_shorter_than_a_window_is_padded(tmp_path: Path) -> None:
    result = transform(tmp_path, {"train": ["a" * 99], "eval": ["a"]}, lanes=2, window_length=8)
    counts = Manifest.load(result.examples).splits["eval"]
    assert (counts.lanes, counts.windows, counts.predictions, counts.padding) == (1, 1, 2, 6)


def test_stage_without_unk_and_unseen_characters_is_refused(tmp_path: Path) -> None:
    splits = {"train": ["abc" * 9], "eval": ["abz", "z"], "test": ["xyz"]}
    with pytest.raises(ValueError, match="without the special `unk`") as caught:
        transform(tmp_path, splits, lanes=1, window_length=4, specials=("end", "pad"))
    assert "Received: unknown tokens {'eval': 2, 'test': 3}. Add unk" in str(caught.value)
    assert everything(tmp_path / "transform_graph") == everything(tmp_path / "transformed_examples") == {}


def test_stage_settings_leave_out_the_runner() -> None:
    # The result does not depend on it, so a change must not run the stage again.
    plain = Transform(TransformConfig(), BeamConfig())
    parallel = Transform(TransformConfig(), BeamConfig(direct_num_workers=2))
    assert plain.settings() == parallel.settings()
    assert plain.settings() != Transform(TransformConfig(lanes=3), BeamConfig()).settings()


# ---- The other tokenizers -------------------------------------------------------------------------------------------

TEXTS = {
    "train": ["The cat\u0301 sat on the mat.\n" * 9, "", "e\u0301té, Été; ﬁn\n\nthe the  the hat\n" * 5, "x" * 50],
    "eval": ["the dog é", "cat"],
}


def naive_words(text: str) -> list[str]:
    return [
        word for line in text.replace("\n", " \n ").split(" ") for word in line.strip("\t\v\f\r").split("\t") if word
    ]


@pytest.mark.parametrize(
    ("settings", "symbols"),
    [
        ({"tokenizer": "byte"}, lambda text: [bytes([b]) for b in text.encode()]),
        ({"tokenizer": "byte", "lowercase": True}, lambda text: [bytes([b]) for b in text.lower().encode()]),
        ({"tokenizer": "word"}, lambda text: [word.encode() for word in naive_words(text)]),
        (
            {"tokenizer": "char", "normalization": "NFKC", "lowercase": True},
            lambda text: [c.encode() for c in unicodedata.normalize("NFKC", text).lower()],
        ),
    ],
    ids=["byte", "byte-lower", "word", "char-NFKC-lower"],
)
def test_stage_other_tokenizers_write_the_naive_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], symbols: Callable[[str], list[bytes]]
) -> None:
    monkeypatch.setattr("components.transform.stage.BLOCK_BYTES", 16)
    result = transform(tmp_path, TEXTS, lanes=3, window_length=4, **settings)
    tokenizer = load(result.graph)
    names = [b"<end>", b"<unk>", b"<pad>", *tokenizer.symbols]
    manifest = Manifest.load(result.examples)
    for split, texts in TEXTS.items():
        expected = [b"<end>"]
        for text in texts:
            expected += [*symbols(text), b"<end>"]
        stream = LaneReader(result.examples, split, tokenizer.end).stream()
        known = set(names)
        assert [names[i] for i in stream] == [name if name in known else b"<unk>" for name in expected]
        counts = manifest.splits[split]
        assert (counts.tokens, counts.characters) == (len(expected), sum(map(len, texts)))
        assert counts.unknown == sum(name not in known for name in expected)
    assert manifest.splits["eval"].unknown > 0 or settings["tokenizer"] != "word"  # guard: "dog"


def test_stage_bpe_stream_decodes_to_the_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.transform.stage.BLOCK_BYTES", 16)
    result = transform(tmp_path, TEXTS, lanes=2, window_length=4, tokenizer="bpe", vocabulary_size=280)
    tokenizer = load(result.graph)
    assert len(tokenizer) == 280
    for split, texts in TEXTS.items():
        stream = LaneReader(result.examples, split, tokenizer.end).stream()
        assert tokenizer.decode(stream) == "<end>" + "".join(f"{text}<end>" for text in texts)
        assert len(stream) < sum(len(text.encode()) + 1 for text in texts)  # guard: pairs were merged
