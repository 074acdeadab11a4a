"""Pieces of the data sets' files in their raw formats, and writing them: what tests make small sets of."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

# Japanese Vowels: what ends a sequence.
ONES = "1.0 " * 12 + "\r\n"
# Gesture phase: the header of a video, and all five of them.
JOINTS = ",".join(f"{joint}{axis}" for joint in ("lh", "rh", "h", "s", "lw", "rw") for axis in "xyz")
JOINTS += ",timestamp,phase\n"
VIDEOS = ("a1", "a2", "a3", "b1", "b3")
# MNIST: the table of train, and the IDX files of test.
TABLE = "mnist_small/mnist_5k_train.csv.gz"
IMAGES, LABELS = "mnist_small/t10k-images-idx3-ubyte.gz", "mnist_small/t10k-labels-idx1-ubyte.gz"
# Twemoji and Tux Paint: headers.
NAMES = "image\tname\tshort_name\tcategory\tsubcategory\n"
CAPTIONS = "image\tcategory\ten\tfr\tde\n"


def put(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Writes files below a data root, those that end in `.gz` compressed."""
    for name, content in files.items():
        raw = content.encode() if isinstance(content, str) else content
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return root


def coefficients(value: float) -> str:
    """Japanese Vowels: a timestep."""
    return " ".join(f"{value + i / 16:.4f}" for i in range(12)) + " \r\n"


def frame(value: float, phase: str) -> str:
    """Gesture phase: a frame."""
    return ",".join(f"{value + joint}" for joint in range(18)) + f",99,{phase}\n"


def films(**texts: str) -> dict[str, str]:
    """Gesture phase: the files of all videos; one that is not given is a frame long."""
    short = JOINTS + frame(0, "Rest")
    return {f"gesture_phase_users_ab/{video}_raw.csv.gz": texts.get(video, short) for video in VIDEOS}


def pixels(number: int) -> np.ndarray:
    """MNIST: an image of noise, uint8 [784], each number's own."""
    return np.random.default_rng(number).integers(0, 256, 784).astype(np.uint8)


def csv_lines(labels: str) -> str:
    """MNIST: a table of images 0, 1, … with these labels."""
    return "".join(",".join(map(str, [*pixels(i), label])) + "\n" for i, label in enumerate(labels))


def idx(labels: bytes) -> dict[str, bytes]:
    """MNIST: the IDX files of images 100, 101, … with these labels."""
    images = b"".join(pixels(100 + number).tobytes() for number in range(len(labels)))
    return {
        IMAGES: struct.pack(">4I", 2051, len(labels), 28, 28) + images,
        LABELS: struct.pack(">2I", 2049, len(labels)) + labels,
    }


def conllu_word(number: str, form: str, tag: str) -> str:
    """Universal Dependencies: a line of a sentence."""
    return f"{number}\t{form}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n"


def conllu_sentence(words: Sequence[tuple[str, str]]) -> str:
    """Universal Dependencies: a sentence of forms and their parts of speech."""
    return "".join(conllu_word(str(i), form, tag) for i, (form, tag) in enumerate(words, 1)) + "\n"


def png(pixels: np.ndarray, mode: str = "RGB") -> bytes:
    """An image file of uint8 [height, width, 3]."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()
