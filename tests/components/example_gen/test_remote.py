"""Remote file systems, with one that lives in memory and answers to `memtest://`, as gs:// and s3:// do elsewhere."""

import gzip
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem
from apache_beam.io.filesystems import FileSystems

from components.example_gen import groups
from components.example_gen.sources import digest, list_files
from tests.components.example_gen.corpora import documents, everything, generate, stage, write

REPOSITORY = Path(__file__).parents[3]
FILES = {
    "box/in/b.txt": b"four\nfive\n" * 300,
    "box/in/deep/c.txt.gz": gzip.compress(b"six\n"),
    "box/in/a.txt": b"one\ntwo\nthree",
    "box/in/skip.md": b"no",
}


class _ShortReads(io.BytesIO):
    """Gives a few bytes at a time, as networks do."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(7 if size is None or size < 0 else min(size, 7))


class MemoryFileSystem(FileSystem):
    """Just enough of a file system for reading."""

    files: ClassVar[dict[str, bytes]] = {}
    checksums = True

    @classmethod
    def scheme(cls) -> str:
        return "memtest"

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        for name, raw in self.files.items():
            path = f"memtest://{name}"
            if path.startswith(dir_or_prefix):
                yield FileMetadata(path, len(raw), last_updated_in_seconds=float(len(raw)))

    def open(self, path: str, mime_type: str = "", compression_type: str = "auto") -> Any:
        return _ShortReads(self.files[path.removeprefix("memtest://")])

    def checksum(self, path: str) -> str:
        if not self.checksums:
            raise BeamIOError("no checksum here")
        return str(hash(self.files[path.removeprefix("memtest://")]))

    def has_dirs(self) -> bool:
        return False

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath, *paths])

    def exists(self, path: str) -> bool:
        return path.removeprefix("memtest://") in self.files

    def metadata(self, path: str) -> FileMetadata:
        return next(self._list(path))

    # Nothing else is asked of it.
    size = last_updated = create = copy = rename = delete = mkdirs = None


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryFileSystem, "files", dict(FILES))


def test_remote_files_are_listed_by_id_below_the_first_wildcard() -> None:
    assert [(file.id, file.path, file.size) for file in list_files("text:memtest://box/in/**.txt*")] == [
        ("a.txt", "memtest://box/in/a.txt", 13),
        ("b.txt", "memtest://box/in/b.txt", 3000),
        ("deep/c.txt.gz", "memtest://box/in/deep/c.txt.gz", len(FILES["box/in/deep/c.txt.gz"])),
    ]
    assert [file.id for file in list_files("text:memtest://box/in/a.txt")] == ["a.txt"]


def test_remote_corpus_is_what_the_same_local_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "GROUP_BYTES", 1000)  # so that b.txt is read in ranges
    write(tmp_path, FILES)
    local = generate(tmp_path / "local", f"text:{tmp_path}/box/in/**/*.txt*", {}, document="line")
    remote = generate(tmp_path / "remote", "text:memtest://box/in/**.txt*", {}, document="line")
    assert everything(remote) == everything(local)
    assert sum(len(documents(remote, split)) for split in ("train", "eval", "test")) == 3 + 600 + 1


@pytest.mark.parametrize("checksums", [True, False])
def test_remote_digest_changes_with_the_content(checksums: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryFileSystem, "checksums", checksums)
    corpus = stage("text:memtest://box/in/*.txt")
    before = corpus.environment(Path())
    assert corpus.environment(Path()) == before
    MemoryFileSystem.files["box/in/a.txt"] += b"!"
    assert corpus.environment(Path()) != before


def test_remote_glob_matching_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must match at least one file\. Received: source='text:memtest://box/no\*'"):
        list_files("text:memtest://box/no*")


def test_remote_file_system_that_beam_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be one that Beam can list\. Received: source='text:nowhere://a/\*'"):
        list_files("text:nowhere://a/*")


def test_remote_memory_is_a_file_system_of_beam() -> None:
    assert isinstance(FileSystems.get_filesystem("memtest://box"), MemoryFileSystem)  # guard


def test_local_files_are_listed_and_digested_without_beam(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": b"x"})
    code = (
        "import sys; from components.example_gen.sources import digest, list_files; "
        f"digest(list_files('text:{tmp_path}/*')); print('apache_beam' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert digest(list_files(f"text:{tmp_path}/*"))
