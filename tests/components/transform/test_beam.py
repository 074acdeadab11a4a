"""The Beam passes: pure functions against the naive reference, counters, and independence of the workers."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import apache_beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.beam_run import run_pipeline
from components.transform.beam import (
    Block,
    BlockCounts,
    CountBlocks,
    LaneJob,
    WriteLanes,
    count_block,
    lane_tokens,
    write_lane,
)
from components.transform.lanes import SplitLayout, end_positions, lane_specs
from components.transform.text_blocks import block_ranges, count_characters, read_block
from components.transform.vocabulary import Vocabulary
from tests.components.transform.reference import CASES, cut, everything, parse_tfrecord, run_transform, write_examples

ALPHABET = "ab\né—𝄞"
OPTIONS = {"runner": "FnApiRunner", "direct_num_workers": 1, "direct_running_mode": "in_memory"}
VOCABULARY = Vocabulary(("end", "unk"), "".join(sorted(ALPHABET[:-1])))  # 𝄞 is unknown
NAIVE_IDS = {"\n": 2, "a": 3, "b": 4, "é": 5, "—": 6, "𝄞": 1}


def specs_of(path: Path, documents: Sequence[str], layout: SplitLayout, block: int) -> list:
    path.write_bytes("".join(documents).encode())
    spans = block_ranges(path.stat().st_size, block)
    blocks = [(*span, len(read_block(path, *span))) for span in spans]
    return lane_specs("train", layout, end_positions([len(document) for document in documents]), blocks)


@pytest.fixture(scope="module")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("text") / "text"


@given(
    documents=st.lists(st.text(ALPHABET, max_size=12), min_size=1, max_size=8),
    lanes=st.integers(1, 7),
    block=st.integers(1, 11),
)
@example(documents=["", "", ""], lanes=2, block=4)
@example(documents=["a𝄞"], lanes=2, block=2)
@example(documents=["é" * 9, "", "𝄞" * 7, ""], lanes=5, block=1)
@settings(max_examples=250, deadline=None)
def test_lane_tokens_any_documents_are_the_naive_lanes(
    text_file: Path, documents: list[str], lanes: int, block: int
) -> None:
    stream: list[int] = []
    for document in documents:
        stream = stream + [0] + [NAIVE_IDS[character] for character in document]
    stream = [*stream, 0]
    borders = [part[0] for part in cut([*range(len(stream) - 1)], lanes) if part]

    layout = SplitLayout(len(stream) - 1, lanes, window_length=3)
    written = []
    for spec in specs_of(text_file, documents, layout, block):
        tokens = np.concatenate([*lane_tokens(spec, text_file, VOCABULARY)]).tolist()
        assert len(tokens) == spec.tokens
        written.append(tokens)
    # The last token of a lane is the first of the next; a lane without predictions is that one token.
    expected = [stream[start : stop + 1] for start, stop in zip(borders, [*borders[1:], len(stream) - 1], strict=True)]
    assert [tokens for tokens in written if len(tokens) > 1] == expected
    assert sum(len(tokens) - 1 for tokens in written) == len(stream) - 1


def test_lane_tokens_read_a_block_at_a_time(text_file: Path) -> None:
    (spec,) = specs_of(text_file, ["abab", "ba"], SplitLayout(8, 1, 4), block=2)
    portions = [tokens.tolist() for tokens in lane_tokens(spec, text_file, VOCABULARY)]
    assert portions == [[0, 3, 4], [3, 4], [0, 4, 3], [0]]


def test_count_block_counts_the_characters_that_start_in_it(text_file: Path) -> None:
    text_file.write_bytes("aéa𝄞".encode())
    assert count_block(Block("train", 0, 2), {"train": str(text_file)}) == BlockCounts(
        "train", 0, 2, [(ord("a"), 1), (ord("é"), 1)]
    )


def test_count_blocks_writes_all_counts_in_order(tmp_path: Path) -> None:
    texts = {"train": str(tmp_path / "train"), "eval": str(tmp_path / "eval")}
    (tmp_path / "train").write_bytes(b"abca")
    (tmp_path / "eval").write_bytes("é".encode())
    blocks = [Block("train", 3, 4), Block("eval", 0, 2), Block("train", 0, 3)]
    run_pipeline(blocks, CountBlocks(texts, tmp_path / "counts.json"), OPTIONS)
    assert json.loads((tmp_path / "counts.json").read_text()) == [
        ["eval", 0, 2, [[ord("é"), 1]]],
        ["train", 0, 3, [[ord("a"), 1], [ord("b"), 1], [ord("c"), 1]]],
        ["train", 3, 4, [[ord("a"), 1]]],
    ]


def test_count_block_all_blocks_sum_to_the_text(text_file: Path) -> None:
    text = ALPHABET * 5 + "𝄞"
    text_file.write_bytes(text.encode())
    total: Counter[int] = Counter()
    for span in block_ranges(text_file.stat().st_size, 3):
        total.update(dict(count_block(Block("s", *span), {"s": str(text_file)}).counts))
    assert total == Counter(map(ord, text)) == count_characters(text)


def lane_job(folder: Path, documents: Sequence[str], lanes: int) -> tuple[LaneJob, list]:
    layout = SplitLayout(sum(map(len, documents)) + len(documents), lanes, 4)
    specs = specs_of(folder / "text", documents, layout, block=5)
    (folder / "Split-train").mkdir()
    return LaneJob({"train": str(folder / "text")}, {"train": layout}, VOCABULARY, str(folder)), specs


def test_write_lane_writes_its_own_shard_only(tmp_path: Path) -> None:
    job, specs = lane_job(tmp_path, ["abab", "baé"], lanes=2)
    write_lane(specs[1], job)
    (path,) = (tmp_path / "Split-train").iterdir()
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


def test_write_lanes_counters_count_lanes_and_tokens(tmp_path: Path) -> None:
    job, specs = lane_job(tmp_path, ["abab", "baé"], lanes=3)
    pipeline = apache_beam.Pipeline(options=PipelineOptions.from_dictionary(OPTIONS))
    _ = pipeline | apache_beam.Create(specs) | WriteLanes(job)
    result = pipeline.run()
    result.wait_until_finish()
    counters = {c.key.metric.name: c.committed for c in result.metrics().query()["counters"]}
    # 9 predictions, and for each lane the target of its last one
    assert counters == {"lanes": 3, "tokens": 9 + 3}


def test_write_lanes_unreadable_text_raises_and_leaves_no_shard(tmp_path: Path) -> None:
    job, specs = lane_job(tmp_path, ["abab", "baé"], lanes=2)
    (tmp_path / "text").unlink()
    with pytest.raises(RuntimeError, match=r"FileNotFoundError: .*Write lanes"):
        run_pipeline(specs, WriteLanes(job), OPTIONS)
    assert everything(tmp_path) == {}


def test_transform_two_processes_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    case = CASES["37_documents"]
    examples = write_examples(tmp_path / "examples", case.splits)
    one = run_transform(examples, tmp_path / "one", **case.settings)
    # In a process of its own, because Beam hangs when one of its workers dies.
    code = f"""
        from pathlib import Path
        import psutil
        from components import watchdog
        from components.transform import stage
        from components.transform.text_blocks import block_ranges
        from pipeline.config import BeamConfig
        from tests.components.transform.reference import CASES, run_transform

        started, runs = set(), watchdog._runs
        def note(process):
            try:
                if process.cmdline()[1:3] == ["-m", "apache_beam.runners.worker.sdk_worker_main"]:
                    started.add(process.pid)
            except psutil.Error:
                pass
            return runs(process)
        watchdog._runs = note
        stage.block_ranges = lambda size: block_ranges(size, 101)
        settings = CASES["37_documents"].settings
        settings["beam"] = BeamConfig(direct_num_workers=2, direct_running_mode="multi_processing")
        run_transform(Path({str(examples)!r}), Path({str(tmp_path / "two")!r}), **settings)
        print(len(started))
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        errors += "\nkilled after 90 seconds"
    assert process.returncode == 0, errors
    assert int(output.split()[-1]) == 4  # guard: each of the two pipelines did start two workers
    assert everything(one.graph) == everything(tmp_path / "two" / "transform_graph")
    assert everything(one.examples) == everything(tmp_path / "two" / "transformed_examples")
