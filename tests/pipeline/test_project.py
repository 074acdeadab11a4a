"""A project from somebody's own texts: what is written, how it fits their size, and what is refused."""

import glob
from pathlib import Path

import pytest

from components.example_gen.stage import ExampleGen
from pipeline import cli, project
from pipeline.config_file import load_config
from pipeline.errors import UsageError

LINE = "Ein Satz, der für sich allein steht.\n"


def write(folder: Path, files: int, characters: int) -> Path:
    folder.mkdir(parents=True)
    for number in range(files):
        (folder / f"{number}.txt").write_text((LINE * (characters // len(LINE) + 1))[:characters], encoding="utf-8")
    return folder


def test_project_of_a_folder_is_a_configuration_of_its_size(tmp_path: Path) -> None:
    texts = write(tmp_path / "texts" / "deep", files=3, characters=10_000)
    path, found = project.start(tmp_path / "My novels!", str(texts.parent))
    config = load_config(path)
    assert (found.files, found.characters) == (3, 30_000)
    assert config.pipeline.name == "My-novels"
    assert config.example_gen.source == f"text:{texts.parent}/**/*.txt"
    assert config.example_gen.split_by == "position"  # three documents make no shares of 5 %
    # Each lane is long enough for its state to matter, on nine tenths of the text.
    transform = config.transform
    assert 27_000 // (transform.lanes * transform.window_length) >= 40
    assert config.model.units * config.model.layers <= 128


@pytest.mark.parametrize("sizes", [[20_000] * 3, [120, 200, 30_000], [2_000] * 39], ids=["even", "uneven", "many"])
def test_project_s_training_text_is_what_its_lanes_were_reckoned_with(tmp_path: Path, sizes: list[int]) -> None:
    for number, size in enumerate(sizes):
        write(tmp_path / "texts" / str(number), 1, size)
    config = load_config(project.start(tmp_path / "p", str(tmp_path / "texts"))[0])
    (tmp_path / "examples").mkdir()
    ExampleGen.from_config(config).run({}, {"examples": tmp_path / "examples"}, tmp_path)
    train = (tmp_path / "examples" / "Split-train" / "documents.txt").read_text("utf-8")
    assert len(train) == pytest.approx(0.9 * sum(sizes), rel=0.05)


@pytest.mark.parametrize(("characters", "units", "layers"), [(3_000, 64, 1), (600_000, 128, 2), (3_200_000, 256, 2)])
def test_project_of_more_text_has_a_larger_model(tmp_path: Path, characters: int, units: int, layers: int) -> None:
    write(tmp_path / "texts", 1, characters)
    config = load_config(project.start(tmp_path / "p", str(tmp_path / "texts" / "0.txt"))[0])
    assert (config.model.units, config.model.layers) == (units, layers)
    assert config.trainer.epochs >= 2


def test_project_of_many_documents_splits_by_whole_ones(tmp_path: Path) -> None:
    texts = write(tmp_path / "texts", files=40, characters=100)
    assert load_config(project.start(tmp_path / "p", f"{texts}/*.txt")[0]).example_gen.split_by == "hash"


def test_project_of_a_file_with_a_name_like_a_pattern_finds_it(tmp_path: Path) -> None:
    file = write(tmp_path / "a'b [1]", 1, 3_000) / "0.txt"
    path, found = project.start(tmp_path / "p", str(file))
    assert found.files == 1
    from components.example_gen.sources import list_files

    assert [one.path for one in list_files(load_config(path).example_gen.source)] == [str(file)]


@pytest.mark.parametrize(
    "name", ["two\nlines", "a\tb\x01\x7f", "\x85\u2028\u2029\ufeff\xa0", "'\"\\ #{}[]: \U0001f600", " %TAG ", "Łódź"]
)
def test_project_of_texts_of_any_name_reads_back_as_that_name(tmp_path: Path, name: str) -> None:
    texts = write(tmp_path / name, files=1, characters=3_000)
    path, found = project.start(tmp_path / "p", str(texts))
    assert found.files == 1
    assert load_config(path).example_gen.source == f"text:{glob.escape(str(texts))}/**/*.txt"


def test_project_of_a_name_that_can_be_read_is_written_so(tmp_path: Path) -> None:
    path, _ = project.start(tmp_path / "p", str(write(tmp_path / "Łódź é 文", 1, 3_000)))
    assert 'Łódź é 文/**/*.txt"' in path.read_text("utf-8")


@pytest.mark.parametrize("name", ["0-9.txt", "\udcff.txt"])
def test_project_of_a_name_that_is_not_utf8_is_refused_and_writes_nothing(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / ("texts" if name == "\udcff.txt" else "\udcff"), 1, 3_000)
    try:
        (folder / name).write_text("x", "utf-8")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(UsageError, match=r"names of TEXTS must be UTF-8\. Received: "):
        project.start(tmp_path / "p", str(folder))
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["p", ""], "init: TEXTS must be a text file, a folder of .txt files or a glob. Received: ''."),
        (["p", "~nobody-of-this-name/x.txt"], "Received: '~nobody-of-this-name/x.txt', and nobody of that name has"),
        (["file", "texts"], "init: DIR must be a folder. Received: 'file', and 'file' is a file."),
        (["file/p", "texts"], "init: DIR must be a folder. Received: 'file/p', and 'file' is a file."),
    ],
)
def test_init_of_what_cannot_be_is_bad_usage(
    tmp_path: Path,
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path / "texts", 1, 3_000)
    (tmp_path / "file").write_text(LINE * 100, "utf-8")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "texts"]


@pytest.mark.parametrize(
    ("encoding", "told"),
    [("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16"), ("utf-32-le", "UTF-32"), ("utf-32-be", "UTF-32")],
)
def test_project_of_another_unicode_encoding_says_how_to_convert_it(tmp_path: Path, encoding: str, told: str) -> None:
    (tmp_path / "a.txt").write_bytes(("\ufeff" + LINE * 100).encode(encoding))
    with pytest.raises(UsageError, match=f"Convert it: `iconv -f {told} -t UTF-8`."):
        project.start(tmp_path / "p", str(tmp_path / "a.txt"))


@pytest.mark.parametrize(("files", "told"), [(1, "in 1 file ("), (2, "in 2 files (")])
def test_init_counts_files_in_good_english(
    tmp_path: Path, files: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["init", str(tmp_path / "p"), str(write(tmp_path / "texts", files, 3_000))]) == 0
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"short", "at least 2,000 characters. Received"),
        (b"x" * 2_000_000 + b"\xff", "must be UTF-8. Received: .*whose byte 2,000,000 or"),
        (b"x" * 5_000 + "é".encode()[:1], "must be UTF-8"),
        (None, "must be a text file, a folder of .txt files or a glob. Received"),
    ],
    ids=["too short", "not UTF-8", "cut in a character", "nothing"],
)
def test_project_of_bad_texts_is_refused_and_writes_nothing(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UsageError, match=said):
        project.start(tmp_path / "p", str(tmp_path / "a.txt"))
    assert not (tmp_path / "p").exists()


def test_init_over_a_configuration_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = write(tmp_path / "texts", 1, 3_000)
    assert cli.main(["init", str(tmp_path / "p"), str(texts)]) == 0
    assert f"run --config {tmp_path}/p/config.yaml" in capsys.readouterr().out
    before = (tmp_path / "p" / "config.yaml").read_bytes()
    assert cli.main(["init", str(tmp_path / "p"), str(texts)]) == 2
    assert "must not hold a config.yaml yet" in capsys.readouterr().err
    assert (tmp_path / "p" / "config.yaml").read_bytes() == before
