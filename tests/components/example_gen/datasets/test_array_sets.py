"""Data sets of arrays: literal documents of small samples, bad records by name, and the real sets if at hand."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.components.example_gen.datasets.raw import (
    CAPTIONS,
    IMAGES,
    JOINTS,
    LABELS,
    NAMES,
    ONES,
    TABLE,
    coefficients,
    csv_lines,
    films,
    frame,
    idx,
    pixels,
    png,
    put,
)
from tests.components.example_gen.datasets.samples import read, rules
from tests.real_sets import DATA, files_at_hand

# ---- Japanese Vowels ------------------------------------------------------------------------------------------------

TEST_COUNTS = (31, 35, 88, 44, 29, 24, 40, 50, 29)


def vowels(count: int, first: str = "") -> str:
    """Sequences of one timestep, the first of them given."""
    return (first or coefficients(0.5)) + ONES + "".join(coefficients(number) + ONES for number in range(1, count))


def test_japanese_vowels_labels_go_by_order(tmp_path: Path) -> None:
    files = {
        "japanese_vowels/ae.train": vowels(270, coefficients(0.25) + coefficients(-2.0)),
        "japanese_vowels/ae.test": vowels(370),
    }
    put(tmp_path, {name: text + "\r\n" for name, text in files.items()})
    good, bad = read("japanese_vowels", tmp_path)
    assert bad == []
    assert good[0]["array"].tolist() == [[start + i / 16 for i in range(12)] for start in (0.25, -2.0)]
    assert (good[0]["id"], good[0]["label"], good[0]["split"]) == ("ae.train:1", "1", "train")
    labels = [known["label"] for known in good]
    assert labels[:270] == [str(speaker) for speaker in range(1, 10) for _ in range(30)]
    assert labels[270:] == [str(s) for s, count in enumerate(TEST_COUNTS, 1) for _ in range(count)]
    assert (good[270]["id"], good[270]["split"]) == ("ae.test:1", "test")


@pytest.mark.parametrize(
    ("text", "expected", "kept"),
    [
        (vowels(270, "1 2 3\r\n"), (1, "a row must have 12 numbers", "3 of them"), 269),
        (vowels(270, coefficients(1).replace("1.0000", "one")), (1, "a row must be numbers", None), 269),
        (vowels(270, coefficients(1).replace("1.0000", "nan")), (1, "the numbers of a row must be finite", None), 269),
        (ONES + vowels(269), (1, "a sequence must have a timestep", "none"), 269),
        (vowels(269), (538, "ae.train must have 270 sequences", "269 that are whole"), 269),
        (vowels(269) + coefficients(1), (539, "ae.train must have 270 sequences", None), 269),
        (vowels(271), (542, "ae.train must have 270 sequences", "more"), 270),
    ],
)
def test_japanese_vowels_bad_sequences(tmp_path: Path, text: str, expected: tuple, kept: int) -> None:
    put(tmp_path, {"japanese_vowels/ae.train": text, "japanese_vowels/ae.test": vowels(370)})
    good, bad = read("japanese_vowels", tmp_path)
    ((line, rule, reason),) = rules(bad)
    assert (line, rule) == expected[:2]
    assert expected[2] in (reason, None)
    assert sum(known["split"] == "train" for known in good) == kept
    assert good[kept - 1]["label"] == "9"  # a bad sequence counts, so no other label moves


def test_japanese_vowels_real_set() -> None:
    files_at_hand("japanese_vowels/ae.*")
    good, bad = read("japanese_vowels", DATA)
    assert bad == []
    lengths = {split: [len(known["array"]) for known in good if known["split"] == split] for split in ("train", "test")}
    assert (len(lengths["train"]), sum(lengths["train"])) == (270, 4_274)
    assert (len(lengths["test"]), sum(lengths["test"])) == (370, 5_687)
    assert (min(map(min, lengths.values())), max(map(max, lengths.values()))) == (7, 29)
    assert all(len({known["label"] for known in good if known["split"] == split}) == 9 for split in lengths)


# ---- Gesture phase --------------------------------------------------------------------------------------------------


def test_gesture_phase_cuts_videos_into_stretches(tmp_path: Path) -> None:
    long = JOINTS + "".join(frame(i, "Rest" if i % 2 else "Stroke") for i in range(103))
    portuguese = "\ufeff" + JOINTS + frame(0.5, "Preparação") + frame(1, "Hold")
    put(tmp_path, films(a1=long, b1=portuguese))
    good, bad = read("gesture_phase_users_ab", tmp_path)
    assert bad == []
    assert {known["id"]: known["split"] for known in good} == {
        "a1:0": "train",
        "a1:100": "train",
        "a3:0": "train",
        "b1:0": "train",
        "a2:0": "eval",
        "b3:0": "test",
    }
    by_id = {known["id"]: known for known in good}
    assert by_id["a1:0"]["array"].shape == (100, 18)
    numbers = np.arange(103)
    standardised = (numbers - numbers.mean()) / numbers.std()  # of the whole video; alike for each of its joints
    np.testing.assert_allclose(by_id["a1:100"]["array"], np.tile(standardised[100:, None], 18), rtol=1e-6)
    assert by_id["a1:100"]["tags"] == ["Stroke", "Rest", "Stroke"]
    assert by_id["b1:0"]["tags"] == ["Preparation", "Hold"]
    assert by_id["b1:0"]["array"][:, :2].tolist() == [[-1, -1], [1, 1]]
    assert by_id["a3:0"]["array"].tolist() == [[0] * 18]  # of one frame, nothing can be told


@pytest.mark.parametrize(
    ("text", "line", "rule", "kept"),
    [
        (JOINTS + frame(0, "Nap") + frame(1, "Hold"), 2, "a phase must be one of Rest", ["Hold"]),
        (JOINTS + "1,2\n" + frame(1, "Hold"), 2, "a row must be one of the table", ["Hold"]),
        (JOINTS + frame(0, "Hold").replace("0", "x", 1), 2, "a row must be numbers", None),
        ("lhx,phase\n" + "1,Hold\n", 1, "the header must have 'lhx', 'lhy'", None),
    ],
)
def test_gesture_phase_bad_rows(tmp_path: Path, text: str, line: int, rule: str, kept: list[str] | None) -> None:
    put(tmp_path, films(a1=text))
    good, bad = read("gesture_phase_users_ab", tmp_path)
    assert [record.line for record in bad] == [line]
    assert bad[0].rule.startswith(rule)
    assert next((known["tags"] for known in good if known["id"] == "a1:0"), None) == kept


def test_gesture_phase_real_set() -> None:
    files_at_hand("gesture_phase_users_ab/*_raw.csv.gz")
    good, bad = read("gesture_phase_users_ab", DATA)
    assert bad == []
    frames = Counter(known["id"].split(":")[0] for known in good for _ in known["tags"])
    assert frames == {"a1": 1_747, "a2": 1_264, "a3": 1_834, "b1": 1_073, "b3": 1_424}
    assert all(len(known["array"]) == len(known["tags"]) for known in good)
    video = np.concatenate([known["array"] for known in good if known["id"].startswith("b3:")])
    np.testing.assert_allclose([video.mean(axis=0), video.std(axis=0)], [[0] * 18, [1] * 18], atol=1e-4)
    tags = Counter(tag for known in good for tag in known["tags"])
    assert tags == {"Stroke": 2299, "Rest": 2121, "Preparation": 1523, "Retraction": 738, "Hold": 661}


# ---- MNIST ----------------------------------------------------------------------------------------------------------


def test_mnist_small_images_and_labels(tmp_path: Path) -> None:
    put(tmp_path, {TABLE: csv_lines("40"), **idx(bytes([7, 2, 9]))})
    good, bad = read("mnist_small", tmp_path)
    assert bad == []
    assert [(known["id"], known["split"], known["label"]) for known in good] == [
        ("mnist_5k_train.csv.gz:1", "train", "4"),
        ("mnist_5k_train.csv.gz:2", "train", "0"),
        *((f"t10k-images-idx3-ubyte.gz:{i}", "test", label) for i, label in enumerate("729", 1)),
    ]
    for known, number in zip(good, (0, 1, 100, 101, 102), strict=True):
        np.testing.assert_array_equal(known["array"], pixels(number).reshape(28, 28, 1))
    rows, _ = read("mnist_pixels", tmp_path)
    assert rows[1]["label"] == "0"
    np.testing.assert_array_equal(rows[1]["array"], pixels(1).reshape(784, 1))


def test_mnist_frames_use_each_image_once_and_are_always_the_same(tmp_path: Path) -> None:
    labels = bytes(number % 10 for number in range(40))
    put(tmp_path, {TABLE: csv_lines("".join(map(str, labels[:30]))), **idx(labels)})
    good, bad = read("mnist_frames", tmp_path)
    again, _ = read("mnist_frames", tmp_path)
    assert bad == []
    assert [known["tags"] for known in again] == [known["tags"] for known in good]
    shown = {pixels(number).tobytes(): str(number % 100 % 10) for number in [*range(30), *range(100, 140)]}
    assert len(shown) == 70
    for split, first, count in (("train", 0, 30), ("test", 100, 40)):
        films = [known for known in good if known["split"] == split]
        assert len({len(film["tags"]) for film in films}) > 1  # guard: lengths vary
        assert all(3 <= len(film["tags"]) <= 8 for film in films[:-1])
        images = [image.tobytes() for film in films for image in film["array"]]
        assert sorted(images) == sorted(pixels(first + number).tobytes() for number in range(count))
        assert [shown[image] for image in images] == [tag for film in films for tag in film["tags"]]
    assert good[0]["id"] == "mnist_5k_train.csv.gz:film-1"
    assert [tag for film in good[:2] for tag in film["tags"]] != list("012345678901")[: len(good[0]["tags"]) * 2]


@pytest.mark.parametrize("line", ["1,2,3", ",".join(["0"] * 784 + ["10"]), ",".join(["256"] + ["0"] * 784), "x", ""])
def test_mnist_bad_line_of_the_table(tmp_path: Path, line: str) -> None:
    put(tmp_path, {TABLE: csv_lines("4") + line + "\n" + csv_lines("5"), **idx(b"\x01")})
    good, bad = read("mnist_small", tmp_path)
    assert [known["label"] for known in good] == ["4", "5", "1"]
    assert [record.line for record in bad] == [2]
    assert "784 integers from 0 to 255 and a digit" in bad[0].rule


@pytest.mark.parametrize(
    ("files", "rule", "kept"),
    [
        ({IMAGES: idx(b"\x01\x02")[IMAGES][:-1]}, "t10k-images-idx3-ubyte.gz must be IDX", 0),
        ({IMAGES: b"what"}, "t10k-images-idx3-ubyte.gz must be IDX", 0),
        ({LABELS: idx(b"\x01")[LABELS]}, "t10k-labels-idx1-ubyte.gz must be IDX", 0),
        ({LABELS: idx(b"\x01\x0b")[LABELS]}, "a label must be a digit", 1),
    ],
)
def test_mnist_bad_idx_files(tmp_path: Path, files: dict[str, bytes], rule: str, kept: int) -> None:
    put(tmp_path, {TABLE: csv_lines("4"), **idx(b"\x01\x02"), **files})
    good, bad = read("mnist_small", tmp_path)
    assert len(good) == 1 + kept
    assert len(bad) == 1
    assert bad[0].rule.startswith(rule)


def test_mnist_idx_file_that_is_cut_off(tmp_path: Path) -> None:
    put(tmp_path, {TABLE: csv_lines("4"), **idx(b"\x01\x02")})
    (tmp_path / LABELS).write_bytes((tmp_path / LABELS).read_bytes()[:-9])
    _, bad = read("mnist_small", tmp_path)
    assert [record.rule for record in bad] == ["a compressed file must be whole"]


def test_mnist_real_set() -> None:
    files_at_hand("mnist_small/*.gz")
    good, bad = read("mnist_small", DATA)
    assert bad == []
    train = Counter(known["label"] for known in good if known["split"] == "train")
    assert train == {str(digit): 500 for digit in range(10)}
    assert len(good) == 15_000
    assert [known["label"] for known in good[5000:5006]] == list("721041")  # as everybody knows them
    frames, _ = read("mnist_frames", DATA)
    assert sum(len(known["tags"]) for known in frames) == 15_000


# ---- Images with words ----------------------------------------------------------------------------------------------

SQUARE = {size: np.random.default_rng(size).integers(0, 256, (size, size, 3)).astype(np.uint8) for size in (32, 64)}


def test_twemoji_images_names_and_categories(tmp_path: Path) -> None:
    row = "1f600.png\tgrinning face\tgrinning\tSmileys & Emotion\tface-smiling\n"
    put(tmp_path, {"twemoji_32px/names.tsv": NAMES + row, "twemoji_32px/images/1f600.png": png(SQUARE[32])})
    good, bad = read("twemoji_32px", tmp_path)
    assert bad == []
    np.testing.assert_array_equal(good[0].pop("array"), SQUARE[32])
    assert good == [
        {
            "id": "1f600.png",
            "label": "Smileys & Emotion",
            "target": "grinning face",
            "short_name": "grinning",
            "subcategory": "face-smiling",
        }
    ]


def test_tuxpaint_captions_in_two_languages(tmp_path: Path) -> None:
    files = {"tuxpaint_stamps_64px/captions.tsv": CAPTIONS + "frog.png\tanimals\tA frog.\tUne grenouille.\t\n"}
    put(tmp_path, files | {"tuxpaint_stamps_64px/images/frog.png": png(SQUARE[64])})
    for name, caption in (("tuxpaint_stamps_64px", "A frog."), ("tuxpaint_stamps_fr", "Une grenouille.")):
        good, bad = read(name, tmp_path)
        assert bad == []
        np.testing.assert_array_equal(good[0].pop("array"), SQUARE[64])
        assert good == [{"id": "frog.png", "target": caption, "category": "animals"}]


@pytest.mark.parametrize(
    ("row", "image", "rule"),
    [
        ("a.png\tA frog.\tx\tC\ts", b"no image", "an image must be whole"),
        ("a.png\tA frog.\tx\tC\ts", png(SQUARE[32])[:-200], "an image must be whole"),
        ("a.png\tA frog.\tx\tC\ts", png(SQUARE[32][:, :31]), "an image must be RGB of 32 × 32 pixels"),
        ("a.png\tA frog.\tx\tC\ts", png(SQUARE[32], "L"), "an image must be RGB of 32 × 32 pixels"),
        ("b.png\tA frog.\tx\tC\ts", png(SQUARE[32]), "an image that is named must be there"),
        ("a.png\t \tx\tC\ts", png(SQUARE[32]), "a row must have the column 'name'"),
        ("a.png\tA frog.\tx\t\ts", png(SQUARE[32]), "a row must have the column 'category'"),
        ("a.png\tA frog.\tx", png(SQUARE[32]), "a row must be one of the table"),
    ],
)
def test_twemoji_bad_rows_and_images(tmp_path: Path, row: str, image: bytes, rule: str) -> None:
    good_row = "good.png\tA\tx\tC\ts\n"
    files = {"names.tsv": NAMES + row + "\n" + good_row, "images/a.png": image, "images/good.png": png(SQUARE[32])}
    put(tmp_path, {f"twemoji_32px/{name}": content for name, content in files.items()})
    good, bad = read("twemoji_32px", tmp_path)
    assert [known["id"] for known in good] == ["good.png"]
    assert [(record.line, record.offset) for record in bad] == [(2, len(NAMES))]
    assert bad[0].rule.startswith(rule)


def test_tuxpaint_row_without_a_caption_is_bad(tmp_path: Path) -> None:
    files = {"tuxpaint_stamps_64px/captions.tsv": CAPTIONS + "frog.png\tanimals\tA frog.\t\t\n"}
    put(tmp_path, files | {"tuxpaint_stamps_64px/images/frog.png": png(SQUARE[64])})
    assert read("tuxpaint_stamps_64px", tmp_path)[1] == []
    assert rules(read("tuxpaint_stamps_fr", tmp_path)[1]) == [(2, "a row must have the column 'fr'", "an empty one")]


def test_twemoji_and_tuxpaint_real_sets() -> None:
    files_at_hand("twemoji_32px/names.tsv")
    files_at_hand("tuxpaint_stamps_64px/captions.tsv")
    for name, count in (("twemoji_32px", 1_911), ("tuxpaint_stamps_64px", 785), ("tuxpaint_stamps_fr", 785)):
        good, bad = read(name, DATA)
        assert bad == []
        assert len(good) == count
    assert "Une grenouille." in {known["target"] for known in good}
