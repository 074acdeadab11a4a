"""Blocks of files: what a tool compressed comes back, what is damaged is noticed, ranges give each line once."""

import bz2
import gzip
import itertools
import lzma
import random
import zlib
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen.blocks import BLOCK_BYTES, CorruptFile, read_blocks, read_lines

COMPRESS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".deflate": zlib.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}
DATA = b"".join(b"line %d of %d\n" % (i, random.Random(i).randrange(10**9)) for i in range(100_000))
formats = pytest.mark.parametrize("suffix", COMPRESS)


def read(path: Path) -> bytes:
    return b"".join(read_blocks(str(path)))


@formats
def test_read_blocks_compressed_file_is_decompressed_in_blocks(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(COMPRESS[suffix](DATA))
    blocks = list(read_blocks(str(tmp_path / f"a{suffix}")))
    assert b"".join(blocks) == DATA
    assert max(map(len, blocks)) <= 2 * BLOCK_BYTES
    assert len(DATA) > 2 * BLOCK_BYTES  # guard: more than a block or two


@formats
def test_read_blocks_small_file_of_much_content_stays_in_blocks(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(COMPRESS[suffix](bytes(48 << 20)))
    # A zstandard frame of 128 KiB can take a few bytes, and a kilobyte is decompressed at a time.
    limit = 34 << 20 if suffix == ".zst" else BLOCK_BYTES
    assert max(len(block) for block in read_blocks(str(tmp_path / f"a{suffix}"))) <= limit


@formats
def test_read_blocks_concatenated_files_are_read_as_one(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(COMPRESS[suffix](b"one\n") + COMPRESS[suffix](b"") + COMPRESS[suffix](b"two\n"))
    assert read(path) == b"one\ntwo\n"


def test_read_blocks_gzip_filled_up_with_zeros_is_whole(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"text") + bytes(1000))
    assert read(tmp_path / "a.gz") == b"text"


@formats
@pytest.mark.parametrize("missing", [1, 1000, 10**9])
def test_read_blocks_cut_off_file_gives_what_is_there_then_raises(tmp_path: Path, suffix: str, missing: int) -> None:
    whole = COMPRESS[suffix](DATA)
    (tmp_path / f"a{suffix}").write_bytes(whole[: max(len(whole) - missing, 0)])
    blocks, found = read_blocks(str(tmp_path / f"a{suffix}")), []
    with pytest.raises(CorruptFile, match=rf"the {suffix} data is cut off"):
        found.extend(blocks)  # what came before the error stays
    assert DATA.startswith(b"".join(found))
    assert bool(found) == (missing < 10**9)


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".deflate"])  # zstandard has no checksum by default
def test_read_blocks_flipped_bit_raises(tmp_path: Path, suffix: str) -> None:
    damaged = bytearray(COMPRESS[suffix](DATA))
    damaged[len(damaged) // 2] ^= 16
    (tmp_path / f"a{suffix}").write_bytes(damaged)
    with pytest.raises(CorruptFile, match="is corrupt"):
        read(tmp_path / f"a{suffix}")


@formats
def test_read_blocks_text_under_a_compressed_name_raises(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(b"just text, long enough to be looked at")
    with pytest.raises(CorruptFile):
        read(tmp_path / f"a{suffix}")


@pytest.fixture(scope="module")
def lines_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lines") / "lines"


@given(
    st.binary(max_size=30).map(lambda raw: raw.replace(b"a", b"\n").replace(b"\0", b"\n")), st.lists(st.integers(0, 30))
)
@settings(max_examples=300, deadline=None)
def test_read_lines_ranges_that_meet_give_each_line_once(lines_file: Path, raw: bytes, cuts: list[int]) -> None:
    lines_file.write_bytes(raw)
    borders = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    found = b""
    for start, stop in itertools.pairwise(borders):
        begin, blocks = read_lines(str(lines_file), start, stop)
        content = b"".join(blocks)
        if content:
            assert begin == len(found)
            assert start <= begin < stop
            assert begin == 0 or raw[begin - 1 : begin] == b"\n"
        found += content
    assert found == raw


def test_read_lines_longer_than_blocks_and_ranges(lines_file: Path) -> None:
    raw = b"x" * (3 * BLOCK_BYTES) + b"\nshort\n" + b"y" * (2 * BLOCK_BYTES)
    lines_file.write_bytes(raw)
    ranges = [(start, min(start + BLOCK_BYTES, len(raw))) for start in range(0, len(raw), BLOCK_BYTES)]
    parts = [b"".join(read_lines(str(lines_file), *span)[1]) for span in ranges]
    assert [len(part) for part in parts if part] == [3 * BLOCK_BYTES + 1, len(raw) - 3 * BLOCK_BYTES - 1]
    assert b"".join(parts) == raw
