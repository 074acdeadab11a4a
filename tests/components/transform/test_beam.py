"""The Beam passes: pure functions against the naive reference, counters, and independence of the workers."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import apache_beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.beam_run import ForEach, Meter, run_pipeline
from components.documents import Documents
from components.transform.beam import (
    Add,
    Block,
    Count,
    CountJob,
    Counts,
    LaneJob,
    count,
    lane_tokens,
    read_counts,
    write_lane,
)
from components.transform.lanes import SplitLayout, lane_specs
from components.transform.text_blocks import block_ranges, encode_block
from components.transform.tokenizers import IDENTITY, CharTokenizer, count_characters
from tests.components.transform.reference import CASES, cut, everything, parse_tfrecord, run_transform, write_examples
from tests.processes import workers_started_by

ALPHABET = "ab\né—𝄞"
OPTIONS = {"runner": "FnApiRunner", "direct_num_workers": 1, "direct_running_mode": "in_memory"}
TOKENIZER = CharTokenizer(("end", "unk"), IDENTITY, "".join(sorted(ALPHABET[:-1])))  # 𝄞 is unknown
NAIVE_IDS = {"\n": 2, "a": 3, "b": 4, "é": 5, "—": 6, "𝄞": 1}
NO_METER = Meter("test", "no such file")


def written(folder: Path, texts: Sequence[str]) -> Documents:
    write_examples(folder, {"train": texts})
    return Documents(folder / "Split-train")


def specs_of(documents: Documents, layout: SplitLayout, block: int) -> list:
    spans = list(block_ranges(documents, True, block))
    blocks = [(*span, len(encode_block(documents, *span, TOKENIZER))) for span in spans]
    return lane_specs("train", layout, blocks)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("text")


@given(
    texts=st.lists(st.text(ALPHABET, max_size=12), min_size=1, max_size=8),
    lanes=st.integers(1, 7),
    block=st.integers(1, 11),
)
@example(texts=["", "", ""], lanes=2, block=4)
@example(texts=["a𝄞"], lanes=2, block=2)
@example(texts=["é" * 9, "", "𝄞" * 7, ""], lanes=5, block=1)
@settings(max_examples=250, deadline=None)
def test_lane_tokens_any_documents_are_the_naive_lanes(folder: Path, texts: list[str], lanes: int, block: int) -> None:
    stream: list[int] = []
    for text in texts:
        stream = stream + [0] + [NAIVE_IDS[character] for character in text]
    stream = [*stream, 0]
    borders = [part[0] for part in cut([*range(len(stream) - 1)], lanes) if part]

    documents = written(folder, texts)
    layout = SplitLayout(len(stream) - 1, lanes, window_length=3)
    lanes_written = []
    for spec in specs_of(documents, layout, block):
        tokens = np.concatenate([*lane_tokens(spec, documents, TOKENIZER)]).tolist()
        assert len(tokens) == spec.tokens
        lanes_written.append(tokens)
    # The last token of a lane is the first of the next; a lane without predictions is that one token.
    expected = [stream[start : stop + 1] for start, stop in zip(borders, [*borders[1:], len(stream) - 1], strict=True)]
    assert [tokens for tokens in lanes_written if len(tokens) > 1] == expected
    assert sum(len(tokens) - 1 for tokens in lanes_written) == len(stream) - 1


def test_lane_tokens_read_a_block_at_a_time(folder: Path) -> None:
    documents = written(folder, ["abab", "ba"])
    (spec,) = specs_of(documents, SplitLayout(8, 1, 4), block=2)
    portions = [tokens.tolist() for tokens in lane_tokens(spec, documents, TOKENIZER)]
    assert portions == [[0, 3, 4], [3, 4], [0, 4, 3], [0]]


def test_count_counts_a_block_and_the_documents_that_open_in_it(folder: Path) -> None:
    job = CountJob({"train": written(folder, ["aé", "a𝄞"])}, count_characters, True, NO_METER)
    counts = Counts([("train", 0, 4, 5)], {"train": Counter({ord("a"): 2, ord("é"): 1})})
    assert count(Block("train", 0, 4), job) == counts


def test_add_order_makes_no_difference() -> None:
    parts = [
        Counts([("train", 3, 4, 1)], {"train": Counter("a")}),
        Counts([("eval", 0, 2, 3)], {"eval": Counter("bb")}),
        Counts([("train", 0, 3, 2)], {"train": Counter("ab")}),
    ]
    add = Add(Counts)

    def merged(parts: list[Counts]) -> Counts:
        accumulators = [add.add_input(add.create_accumulator(), part) for part in parts]
        return add.extract_output(add.merge_accumulators(accumulators))

    for counts in (merged(parts), merged(parts[::-1])):
        assert counts.spans("train") == [(0, 3, 2), (3, 4, 1)]
        assert counts.spans("eval") == [(0, 2, 3)]
        assert counts.symbols == {"train": Counter("aab"), "eval": Counter("bb")}


def test_count_of_blocks_writes_all_counts_and_read_counts_removes_them(tmp_path: Path) -> None:
    write_examples(tmp_path, {"train": ["abca"], "eval": ["é"]})
    splits = Documents.splits(tmp_path)
    blocks = [Block("train", 3, 4), Block("eval", 0, 2), Block("train", 0, 3)]
    job = CountJob(splits, count_characters, True, NO_METER)
    run_pipeline(blocks, Count(count, job, Counts, tmp_path / "counts"), OPTIONS)
    counts = read_counts(tmp_path / "counts")
    assert counts.spans("train") == [(0, 3, 4), (3, 4, 1)]
    assert (counts.tokens("train"), counts.tokens("eval")) == (5, 2)
    assert counts.symbols == {"train": Counter(map(ord, "abca")), "eval": Counter(map(ord, "é"))}
    assert not (tmp_path / "counts").exists()


def lane_job(folder: Path, texts: Sequence[str], lanes: int) -> tuple[LaneJob, list]:
    documents = written(folder / "examples", texts)
    layout = SplitLayout(documents.characters + len(documents), lanes, 4)
    (folder / "out" / "Split-train").mkdir(parents=True)
    job = LaneJob({"train": documents}, {"train": layout}, TOKENIZER, str(folder / "out"), NO_METER)
    return job, specs_of(documents, layout, block=5)


def test_write_lane_writes_its_own_shard_only(tmp_path: Path) -> None:
    job, specs = lane_job(tmp_path, ["abab", "baé"], lanes=2)
    write_lane(specs[1], job)
    (path,) = (tmp_path / "out" / "Split-train").iterdir()
    assert path.name == "lane-00001-of-00002.tfrecord"
    # <end> a b a b | b <end> b a é <end>: the first lane's last token is the second's first
    assert parse_tfrecord(path) == [bytes([4, 0, 4, 3, 5]), bytes([5, 0, 0, 0, 0])]


def test_write_lane_twice_is_the_same_file(tmp_path: Path) -> None:
    # Beam may run a bundle again.
    job, specs = lane_job(tmp_path, ["abab", "baé"], lanes=1)
    write_lane(specs[0], job)
    before = everything(tmp_path)
    write_lane(specs[0], job)
    assert everything(tmp_path) == before


def test_write_lanes_counters_count_tokens_and_bytes(tmp_path: Path) -> None:
    job, specs = lane_job(tmp_path, ["abab", "baé"], lanes=3)
    pipeline = apache_beam.Pipeline(options=PipelineOptions.from_dictionary(OPTIONS))
    _ = pipeline | apache_beam.Create(specs) | ForEach("Write lanes", write_lane, (job,))
    result = pipeline.run()
    result.wait_until_finish()
    counters = {c.key.metric.name: c.committed for c in result.metrics().query()["counters"]}
    # 9 predictions, and for each lane the target of its last one; the two lanes at a border read the block it is in
    assert counters["tokens"] == 9 + 3
    assert counters["bytes"] >= 8


def test_write_lanes_unreadable_text_raises_and_leaves_no_shard(tmp_path: Path) -> None:
    job, specs = lane_job(tmp_path, ["abab", "baé"], lanes=2)
    job.splits["train"].text.unlink()
    with pytest.raises(RuntimeError, match=r"FileNotFoundError: .*Write lanes"):
        run_pipeline(specs, ForEach("Write lanes", write_lane, (job,)), OPTIONS)
    assert everything(tmp_path / "out") == {}


@pytest.mark.slow
def test_transform_two_processes_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    case = CASES["37_documents"]
    examples = write_examples(tmp_path / "examples", case.splits)
    one = run_transform(examples, tmp_path / "one", **case.settings)
    code = f"""
        from pathlib import Path
        from components.transform import stage
        from pipeline.config import BeamConfig
        from tests.components.transform.reference import CASES, run_transform

        stage.BLOCK_BYTES = 101
        settings = CASES["37_documents"].settings
        settings["beam"] = BeamConfig(direct_num_workers=2, direct_running_mode="multi_processing")
        run_transform(Path({str(examples)!r}), Path({str(tmp_path / "two")!r}), **settings)
    """
    assert workers_started_by(code) == 4  # guard: each of the two pipelines did start two workers
    assert everything(one.graph) == everything(tmp_path / "two" / "transform_graph")
    assert everything(one.examples) == everything(tmp_path / "two" / "transformed_examples")
