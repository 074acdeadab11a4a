"""Starts a project: a configuration that fits the size of somebody's own texts."""

from __future__ import annotations

import codecs
import dataclasses
import glob
import json
import re
from pathlib import Path

from pipeline.errors import UsageError

CONFIG = "config.yaml"
_FEWEST = 2_000  # characters of which anything can be learnt
_BLOCK = 1 << 20  # bytes
# The longer ones first: one begins with the other.
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_UPDATES = 2_500  # that a training should have, unless the corpus gives more in one epoch
_MOST_EPOCHS = 60
_WINDOWS_OF_A_LANE = 40  # at least, so that a state is carried for a while
# Characters from which on → units, layers.
_SIZES = ((0, 64, 1), (50_000, 128, 1), (500_000, 128, 2), (3_000_000, 256, 2), (30_000_000, 512, 3))


@dataclasses.dataclass(frozen=True)
class Texts:
    """Texts on disk.

    Attributes:
        source: What `example_gen.source` says of them.
        files: How many files, each a document.
        characters: How many characters all of them have.
    """

    source: str
    files: int
    characters: int

    @property
    def size(self) -> str:
        """Both numbers, in words."""
        return f"{self.characters:,} characters in {self.files:,} {'file' if self.files == 1 else 'files'}"


def start(folder: Path, texts: str) -> tuple[Path, Texts]:
    """Writes `<folder>/config.yaml`; the texts stay where they are.

    Args:
        folder: Of the project; its name becomes the pipeline's.
        texts: A file, a folder (all its `.txt`, at any depth) or a glob.

    Raises:
        UsageError: There is a configuration already, or no folder can be; there are no texts, or too few; one, or the
            name of one, is not UTF-8.
    """
    path = folder / CONFIG
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise UsageError(f"init: DIR must be a folder. Received: {str(folder)!r}, and {str(place)!r} is a file.")
    if path.exists():
        raise UsageError(f"init: DIR must not hold a {CONFIG} yet. Received: {str(path)!r}. Name another folder.")
    found = look(texts)
    if found.characters < _FEWEST:
        raise UsageError(
            f"init: TEXTS must have at least {_FEWEST:,} characters. Received: {texts!r}, {found.size}. Add texts."
        )
    name = re.sub("[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-_") or "project"
    content = configuration(name, found)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path, found


def look(texts: str) -> Texts:
    """Counts files and characters."""
    rule = "init: TEXTS must be a text file, a folder of .txt files or a glob."
    if not texts:  # Path("") would be the current folder
        raise UsageError(f"{rule} Received: ''.")
    try:
        place = Path(texts).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(f"{rule} Received: {texts!r}, and nobody of that name has a home here.") from error
    pattern = glob.escape(str(place)) if place.exists() else str(place)
    pattern += "/**/*.txt" if place.is_dir() else ""
    files = [file for file in glob.glob(pattern, recursive=True) if Path(file).is_file()]  # noqa: PTH207 as ExampleGen
    if not files:
        raise UsageError(f"{rule} Received: {texts!r}.")
    for name in (pattern, *files):
        try:
            name.encode("utf-8")
        except UnicodeEncodeError as error:  # a configuration is UTF-8, and cannot say it
            raise UsageError(f"init: names of TEXTS must be UTF-8. Received: {name!r}. Rename it.") from error
    return Texts(f"text:{pattern}", len(files), sum(_characters(Path(file)) for file in files))


def _characters(file: Path) -> int:
    decoder, count, read = codecs.getincrementaldecoder("utf-8")(), 0, 0
    with file.open("rb") as stream:
        try:
            while block := stream.read(_BLOCK):
                count += len(decoder.decode(block))
                read += len(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            stream.seek(0)
            begin = stream.read(4)
            for mark, encoding in _MARKS:
                if begin.startswith(mark):
                    raise UsageError(
                        f"init: TEXTS must be UTF-8. Received: {str(file)!r}, which begins as {encoding} does. Convert "
                        f"it: `iconv -f {encoding} -t UTF-8`."
                    ) from error
            raise UsageError(
                f"init: TEXTS must be UTF-8. Received: {str(file)!r}, whose byte {read + error.start:,} or one shortly "
                "before is not. Convert it, with `iconv -f LATIN1 -t UTF-8` for instance."
            ) from error
    return count


def configuration(name: str, texts: Texts) -> str:
    """The configuration as YAML, with the reasons as comments."""
    train = int(0.9 * texts.characters)
    units, layers = next((u, n) for least, u, n in reversed(_SIZES) if texts.characters >= least)
    window = 64 if texts.characters >= 20_000 else 32
    lanes = 64
    while lanes > 2 and train < lanes * window * _WINDOWS_OF_A_LANE:
        lanes //= 2
    updates = max(1, train // (lanes * window))
    epochs = min(max(1, round(_UPDATES / updates)), _MOST_EPOCHS)
    # Few documents, whole, would make splits of other sizes than asked for.
    split_by = "hash" if texts.files >= 40 else "position"
    return f"""\
# {name}: {texts.size}.
# All keys with their defaults and meanings: pipeline/config.py. Try one with --set, such as --set model.units=256.
pipeline: {{name: {_quoted(name)}}}
example_gen:
  source: {_quoted(texts.source)}
  split_by: {split_by} # {"whole documents" if split_by == "hash" else "pieces in order, as there are few documents"}
transform: {{window_length: {window}, lanes: {lanes}}} # {updates:,} updates an epoch
model: {{units: {units}, layers: {layers}}} # more text could teach a larger one
trainer:
  epochs: {epochs}
  patience: 3 # evaluations without a gain, after which training ends
  optimizer: {{name: adam, learning_rate: 2.0e-3, schedule: cosine, global_clipnorm: 1.0}}
# evaluator: {{thresholds: {{bits_per_char: {{upper: 2.5}}}}}} # a model above it is not pushed
"""


def _quoted(text: str) -> str:
    """A scalar that YAML reads as this text, whatever is in it: JSON, with escapes for all that cannot be seen."""
    escaped = (c if c.isprintable() else f"\\U{ord(c):08X}" for c in json.dumps(text, ensure_ascii=False))
    return "".join(escaped)
