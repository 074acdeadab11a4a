"""Counted strings on disk: what goes in comes out, partition by partition."""

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from components.statistics_gen.tally import PARTITIONS, Tally, join, merge_partition, read_partition, write_tally

COUNTS = st.dictionaries(st.text(st.characters(exclude_characters="\n", codec="utf-8")), st.integers(1, 9))


@given(COUNTS)
@settings(max_examples=60, deadline=None)
def test_tally_written_partitions_together_are_the_counts(counts: dict[str, int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_tally(Path(folder) / "tally", counts)
        parts = [read_partition(Path(folder) / "tally", p) for p in range(PARTITIONS)]
    assert sum(map(len, parts)) == len(counts)
    assert {key: n for part in parts for key, n in part.items()} == counts


@given(st.lists(COUNTS, min_size=1, max_size=3), st.lists(COUNTS, max_size=3), st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_tally_merged_partitions_are_the_sum(train: list[dict], other: list[dict], keep: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, list[Path]] = {"eval": [], "train": []}
        for split, tallies in (("train", train), ("eval", other)):
            for i, counts in enumerate(tallies):
                files[split].append(Path(folder) / f"{split}-{i}")
                write_tally(files[split][-1], counts)
        merged = [merge_partition(files, p, keep) for p in range(PARTITIONS)]
    for split, tallies in (("train", train), ("eval", other)):
        total: Counter[str] = sum((Counter(counts) for counts in tallies), Counter())
        known = {key for counts in train for key in counts}
        expected = Tally(
            len(total),
            total.total(),
            sum(n for key, n in total.items() if key not in known),
            sorted(total.items(), key=lambda item: (-item[1], item[0]))[:keep],
        )
        assert join([part[split] for part in merged], keep) == expected


def test_tally_strings_are_spread_over_the_partitions(tmp_path: Path) -> None:
    write_tally(tmp_path / "tally", {f"word{i}": 1 for i in range(1600)})
    sizes = [len(read_partition(tmp_path / "tally", p)) for p in range(PARTITIONS)]
    assert max(sizes) < 3 * 1600 / PARTITIONS
