"""A small data set for each recipe, made up and in its raw format, and what a client may ask the model of it.

Examples have two lengths in most of them: enough to be padded, and few enough to be compiled for in a short time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.components.example_gen.datasets import raw

_UNSEEN = "\U0010ffff ☂"  # in no set
_SUBJECTS = {"a dog": "un chien", "the girl": "la fille", "a man": "un homme", "two cats": "deux chats"}
_VERBS = {"runs": "court", "sleeps": "dort", "sings": "chante"}
_PLACES = {"in the park .": "dans le parc .", "at the beach .": "à la plage .", ".": "."}


@dataclass(frozen=True)
class Sample:
    """What was made of a data set, and a request for the model.

    Attributes:
        request: Input of the task's signature → its rows, of different lengths.
        known: All classes, or all words or characters that texts are made of, as far as train has them.
        settings: Options `a.b=VALUE` that say where the data is, if it is not below the data root, or how much of it.
    """

    request: Mapping[str, Sequence[str] | np.ndarray]
    known: frozenset[str] = frozenset()
    settings: tuple[str, ...] = ()


# ---- Streams of text -------------------------------------------------------------------------------------------------


def hello(folder: Path) -> Sample:
    return Sample({"prompt": ["hel", "", "h"]}, frozenset("hello"))


def _verses(count: int) -> str:
    random = np.random.default_rng(count)
    lines = [
        " ".join(random.choice(part) for part in (list(_SUBJECTS), list(_VERBS), [*_PLACES])) for _ in range(count)
    ]
    return "".join(f"{line.replace(' .', '.').capitalize()}\n" for line in lines)


def plays(folder: Path) -> Sample:
    """A file in place of the packaged corpus."""
    text = _verses(120)
    (folder / "play.txt").write_text(text, "utf-8")
    source = f"example_gen.source=text:{folder}/play.txt"
    return Sample({"prompt": ["A dog sleeps", "", "T"]}, frozenset(text), (source,))


def prepared_plays(folder: Path) -> Sample:
    """A data set as TFDS has it on disk once it is prepared."""
    import tensorflow_datasets as tfds

    texts = {"train": _verses(90), "validation": _verses(15), "test": _verses(14)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TFDS's own
        tfds.dataset_builders.store_as_tfds_dataset(
            name="tiny_shakespeare",
            version="1.0.0",
            features=tfds.features.FeaturesDict({"text": tfds.features.Text()}),
            split_datasets={split: [(0, {"text": text})] for split, text in texts.items()},
            data_dir=folder / "tfds",
            file_format="array_record",
        )
    setting = f"example_gen.data_dir={folder / 'tfds'}"
    return Sample({"prompt": ["A dog sleeps", "", "T"]}, frozenset(texts["train"]), (setting,))


# ---- Texts with a label, with tags, with another text ----------------------------------------------------------------

_SYLLABLES = {"Aulish": ["au", "la", "mi"], "Brek": ["br", "ko", "tu"], "Çelian": ["çe", "li", "ño"]}


def names(folder: Path) -> Sample:
    random = np.random.default_rng(0)
    files = {}
    for language, syllables in _SYLLABLES.items():
        made = ["".join(random.choice(syllables, random.choice([2, 4]))).capitalize() for _ in range(25)]
        files[f"names_18_languages/{language}.txt"] = "".join(f"{name}\n" for name in made)
    raw.put(folder, files)
    return Sample({"text": ["Çeliñoli", "", "Ko", _UNSEEN]}, frozenset(_SYLLABLES))


def languages(folder: Path) -> Sample:
    """The names, to be written for their languages."""
    names(folder)
    written = frozenset("".join(part + part.capitalize() for parts in _SYLLABLES.values() for part in parts))
    return Sample({"label": ["Brek", "Çelian", "Brek"]}, written)


def reviews(folder: Path) -> Sample:
    random = np.random.default_rng(1)
    words = {"pos": ["fine", "warm", "bright"], "neg": ["dull", "cold", "long"]}
    files = {}
    for label, own in words.items():
        lines = [[*random.choice([*own, "a", "film"], random.choice([2, 5])), "."] for _ in range(40)]
        files[f"sentence_polarity/rt-polarity.{label}"] = "".join(" ".join(line) + " \n" for line in lines)
    raw.put(folder, files)
    return Sample({"text": ["a warm , bright film .", "", "dull", _UNSEEN]}, frozenset(words))


def years(folder: Path) -> Sample:
    texts = ["in 2009 , we went to Nepal .", "", "2010", _UNSEEN]
    source = "example_gen.source=dataset:order?count=400"
    return Sample({"text": texts}, frozenset(str(year) for year in range(2000, 2020)), (source,))


def tagged_sentences(folder: Path) -> Sample:
    tags = {"the": "DET", "a": "DET", "dog": "NOUN", "girl": "NOUN", "sees": "VERB", "runs": "VERB", ".": "PUNCT"}
    random = np.random.default_rng(2)

    def sentence() -> str:
        words = random.choice(list(tags)[:-1], random.choice([2, 5])).tolist()
        return raw.conllu_sentence([(word, tags[word]) for word in [*words, "."]])

    counts = {"train": 40, "dev": 6, "test": 6}
    files = {
        f"ud_english_ewt/en_ewt-ud-{split}.conllu.gz": "".join(sentence() for _ in range(count))
        for split, count in counts.items()
    }
    raw.put(folder, files)
    return Sample({"text": ["the girl sees a dog .", "", "runs", _UNSEEN]}, frozenset(tags.values()))


def captions_in_french(folder: Path) -> Sample:
    random = np.random.default_rng(3)
    counts = {"train": 80, "val": 9, "test_2016_flickr": 8}
    files = {}
    for name, count in counts.items():
        chosen = [
            [list(part)[random.integers(len(part))] for part in (_SUBJECTS, _VERBS, _PLACES)] for _ in range(count)
        ]
        english = [" ".join(row) for row in chosen]
        french = [f"{_SUBJECTS[who]} {_VERBS[does]} {_PLACES[where]}" for who, does, where in chosen]
        for language, lines in (("en", english), ("fr", french)):
            files[f"multi30k_en_fr/{name}.{language}.gz"] = "".join(f"{line.capitalize()}\n" for line in lines)
    raw.put(folder, files)
    written = " ".join(text for table in (_SUBJECTS, _VERBS, _PLACES) for text in table.values())
    texts = ["Two cats sing in the park .", "", "SLEEPS", _UNSEEN]
    return Sample({"text": texts}, frozenset(written.split(" ")))


def spelt_words(folder: Path) -> Sample:
    sounds = {"A": "AH0", "B": "B", "C": "K", "E": "IY0", "S": "S", "T": "T"}
    random = np.random.default_rng(4)
    words = sorted({"".join(random.choice(list(sounds), random.choice([2, 5]))) for _ in range(110)})
    lines = [f"{word} 1 {' '.join(sounds[letter] for letter in word)}\n" for word in words]
    lines += [f"{word} 2 {' '.join(sounds[letter] for letter in word[::-1])}\n" for word in words[:10]]
    raw.put(folder, {"cmudict/cmudict.gz": "".join(lines)})
    return Sample({"text": ["BASSET", "", "A", _UNSEEN]}, frozenset(sounds.values()))


def stories(folder: Path) -> Sample:
    people, rooms = ["Ann", "Bo", "Cy"], ["kitchen", "hall", "garden"]
    random = np.random.default_rng(5)

    def story() -> str:
        lines, number, at = [], 0, {}
        for _ in range(2):
            who, where = str(random.choice(people)), str(random.choice(rooms))
            at[who] = (number + 1, where)
            asked = str(random.choice(list(at)))
            lines.append(f"{number + 1} {who} went to the {where}.\n")
            lines.append(f"{number + 2} Where is {asked}? \t{at[asked][1]}\t{at[asked][0]}\n")
            number += 2
        return "".join(lines)

    counts = {"train": 25, "test": 5}
    files = {
        f"babi_qa1/qa1_single-supporting-fact_{split}.txt": "".join(story() for _ in range(count))
        for split, count in counts.items()
    }
    raw.put(folder, files)
    asked = ["Ann went to the hall. Bo went to the kitchen. Where is Ann?", "", "Where is Bo?", _UNSEEN]
    return Sample({"text": asked}, frozenset(rooms))


# ---- Numbers and images ----------------------------------------------------------------------------------------------


def vowels(folder: Path) -> Sample:
    random = np.random.default_rng(6)

    def sequences(count: int) -> str:
        made = (random.uniform(-1, 1, random.choice([2, 4])) for _ in range(count))
        return "".join("".join(map(raw.coefficients, values)) + raw.ONES for values in made)

    raw.put(folder, {"japanese_vowels/ae.train": sequences(270), "japanese_vowels/ae.test": sequences(370)})
    request = {"array": random.normal(size=(3, 5, 12)), "lengths": np.array([5, 1, 3])}
    return Sample(request, frozenset("123456789"))


def digits(folder: Path) -> dict[str, np.ndarray]:
    """24 of train and 8 of test, from 0 to 2; returns some images."""
    labels = [number % 3 for number in range(32)]
    raw.put(folder, {raw.TABLE: raw.csv_lines("".join(map(str, labels[:24]))), **raw.idx(bytes(labels[24:]))})
    return {"array": np.stack([raw.pixels(number) for number in range(200, 212)])}


def digits_in_rows(folder: Path) -> Sample:
    images = digits(folder)["array"]
    return Sample({"array": images[:3].reshape(3, 784, 1)}, frozenset("012"))


def digits_in_films(folder: Path) -> Sample:
    images = digits(folder)["array"]
    return Sample({"array": images.reshape(3, 4, 28, 28, 1), "lengths": np.array([4, 1, 3])}, frozenset("012"))


def gestures(folder: Path) -> Sample:
    phases = ["Rest", "Preparation", "Stroke", "Hold", "Retraction"]
    random = np.random.default_rng(7)
    videos = {}
    for video in raw.VIDEOS:
        frames = (raw.frame(random.uniform(0, 3), phases[number // 9 % 5]) for number in range(105))
        videos[video] = raw.JOINTS + "".join(frames)
    raw.put(folder, raw.films(**videos))
    return Sample({"array": random.normal(size=(3, 6, 18)), "lengths": np.array([6, 1, 4])}, frozenset(phases))


def emoji(folder: Path) -> Sample:
    colours, faces = ["Red", "green", "blue"], ["face", "sad face", "hand"]
    random = np.random.default_rng(8)
    rows, files = [raw.NAMES], {}
    for number in range(40):
        name = f"{colours[number % 3]} {faces[number // 3 % 3]}"
        rows.append(f"{number}.png\t{name}\t{name}\tSmileys & Emotion\tfaces\n")
        files[f"twemoji_32px/images/{number}.png"] = raw.png(random.integers(0, 256, (32, 32, 3)).astype(np.uint8))
    raw.put(folder, {"twemoji_32px/names.tsv": "".join(rows), **files})
    written = frozenset(" ".join(colours + faces).lower().split(" "))
    return Sample({"array": random.integers(0, 256, (3, 32, 32, 3))}, written)


def stamps(folder: Path) -> Sample:
    """Pictures with captions in two languages, of which the recipe reads the French ones."""
    random = np.random.default_rng(10)
    things = [("a cat", "un chat"), ("a little bee", "une petite abeille"), ("summer", "l'été")]
    rows, files = [raw.CAPTIONS], {}
    for number in range(40):
        english, french = things[number % 3]
        rows.append(f"{number}.png\tthings\t{english}\t{french.capitalize()}\t\n")
        image = random.integers(0, 256, (64, 64, 3)).astype(np.uint8)
        files[f"tuxpaint_stamps_64px/images/{number}.png"] = raw.png(image)
    raw.put(folder, {"tuxpaint_stamps_64px/captions.tsv": "".join(rows), **files})
    written = frozenset(word for _, french in things for word in french.split(" "))
    return Sample({"array": random.integers(0, 256, (3, 64, 64, 3))}, written)


def sums(folder: Path) -> Sample:
    series = np.random.default_rng(9).random((3, 6, 2))
    return Sample({"array": series}, settings=("example_gen.source=dataset:adding?timesteps=6&count=60",))


# Recipe → what makes its data set in a folder, which is the data root.
SMALL_SETS: Mapping[str, Callable[[Path], Sample]] = {
    "adding": sums,
    "captions": emoji,
    "forecast": vowels,
    "frames": digits_in_films,
    "gestures": gestures,
    "hello": hello,
    "names": names,
    "order": years,
    "pixels": digits_in_rows,
    "pos_tags": tagged_sentences,
    "pronunciation": spelt_words,
    "qa": stories,
    "quickstart": plays,
    "sentiment": reviews,
    "shakespeare": plays,
    "speaker": vowels,
    "stamps": stamps,
    "surnames": languages,
    "tinyshakespeare": prepared_plays,
    "translation": captions_in_french,
}
