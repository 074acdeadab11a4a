"""Small data for the tasks of examples, each with a rule to be learnt, as Transform would write them."""

import numpy as np

from components.transform.graph import TARGET, save_classes, save_features, save_scaling
from components.transform.manifest import FeatureInfo
from components.transform.tokenizers import IDENTITY, WordTokenizer
from tests.testing import write_examples

WORDS = WordTokenizer(("end", "unk", "pad"), IDENTITY, ("up", "down", "left", "right", "very"))
UP, DOWN, LEFT, RIGHT, VERY = range(3, 8)
LABELS, TAGS = ["falls", "rises"], ["after-down", "after-up", "first"]
TOKENS = FeatureInfo("tokens", "uint8", size=len(WORDS))
SIZES = {"train": 120, "eval": 30, "test": 25}


def sentence(random):
    return random.integers(UP, VERY + 1, random.integers(1, 7)).tolist()


def last_decides(random):
    """rises or falls: whichever of `up` and `down` came last."""
    words = [*sentence(random), int(random.choice([UP, DOWN])), *random.choice([LEFT, RIGHT, VERY], 2).tolist()]
    last = [word for word in words if word in (UP, DOWN)][-1]
    return {"tokens": words, "label": int(last == UP)}


def previous_tags(random):
    """Each word's tag says which of `up` and `down` came last before it."""
    words, tags, tag = sentence(random), [], 2
    for word in words:
        tags.append(tag)
        tag = {UP: 1, DOWN: 0}.get(word, tag)
    return {"tokens": words, "tags": tags}


def marked_sum(random):
    """The sum of the marked numbers of a series."""
    length = int(random.integers(3, 8))
    numbers, marks = random.uniform(0, 1, length), np.zeros(length)
    marks[random.choice(length, 2, replace=False)] = 1
    return {"array": np.stack([numbers, marks], axis=1).astype("float32"), "value": numbers @ marks}


def waves(random):
    """Two sines of one row's own frequency: each row follows from the two before."""
    t = np.arange(int(random.integers(8, 14)))[:, None]
    return {"array": (3 + 2 * np.sin(t * random.uniform(0.3, 0.6) + [[0, 1.5]])).astype("float32")}


MEANINGS = {UP: ["haut"], DOWN: ["bas"], LEFT: ["gauche"], RIGHT: ["droite"], VERY: ["très", "très"]}
FRENCH = WordTokenizer(("end", "unk", "pad"), IDENTITY, ("haut", "bas", "gauche", "droite", "très"))


def last_two_in_french(random):
    """The last two words in French, where `very` becomes two words."""
    words = sentence(random)
    text = " ".join(word for token in words[-2:] for word in MEANINGS[token])
    return {"tokens": words, "target": FRENCH.encode(text).tolist(), "fields": {"target": text}}


COMMANDS = {"climb": "haut haut", "dive": "bas très bas", "turn": "gauche"}


def command_in_french(random):
    """What a command is in French: one text for each."""
    label = int(random.integers(len(COMMANDS)))
    text = COMMANDS[sorted(COMMANDS)[label]]
    return {"label": label, "target": FRENCH.encode(text).tolist(), "fields": {"target": text}}


def drawing(random):
    """An image whose bright half says `haut` or `bas`, and how often."""
    image, half, times = random.integers(0, 60, (6, 5, 2)), int(random.integers(2)), int(random.integers(1, 4))
    image[3 * half : 3 * half + 3, :times] += 150
    text = " ".join([["haut", "bas"][half]] * times)
    return {"array": image.astype("uint8"), "target": FRENCH.encode(text).tolist(), "fields": {"target": text}}


TARGET_TOKENS = FeatureInfo("tokens", "uint8", size=len(FRENCH))
SERIES = FeatureInfo("array", "float32", shape=(None, 2))
KINDS = {
    "classification": (last_decides, {"tokens": TOKENS, "label": FeatureInfo("class", "uint8", size=2)}),
    "tagging": (previous_tags, {"tokens": TOKENS, "tags": FeatureInfo("classes", "uint8", size=3)}),
    "regression_sequence": (marked_sum, {"array": SERIES, "value": FeatureInfo("number", "float32")}),
    "forecast": (waves, {"array": SERIES}),
    "seq2seq": (last_two_in_french, {"tokens": TOKENS, "target": TARGET_TOKENS}),
    "captioning of classes": (
        command_in_french,
        {"label": FeatureInfo("class", "uint8", size=3), "target": TARGET_TOKENS},
    ),
    "captioning": (drawing, {"array": FeatureInfo("array", "uint8", shape=(6, 5, 2)), "target": TARGET_TOKENS}),
}
WRITERS = ("seq2seq", "captioning of classes", "captioning")


def task_of(kind):
    """The name of the task, `model.task`."""
    return "regression_sequence" if kind == "forecast" else kind.partition(" ")[0]


def write(folder, kind, seed=0):
    """Writes `graph` and `examples` into a folder; returns both."""
    return write_kind(folder, *KINDS[kind], seed, labels=sorted(COMMANDS) if kind in WRITERS else LABELS)


def write_kind(folder, make, features, seed=0, labels=LABELS):
    """As `write`, of examples that `make` makes of a random generator."""
    random = np.random.default_rng(seed)
    splits = {name: [make(random) for _ in range(size)] for name, size in SIZES.items()}
    graph = folder / "graph"
    graph.mkdir(parents=True)
    save_features(graph, features)
    if "tokens" in features:
        WORDS.save(graph)
    if "target" in features:
        (graph / TARGET).mkdir()
        FRENCH.save(graph / TARGET)
    for name, names in {"label": labels, "tags": TAGS}.items():
        if name in features:
            save_classes(graph, name, names)
    if "array" in features:
        numbers = np.concatenate([row["array"] for row in splits["train"]]).astype("float64")
        axes = 0 if len(features["array"].shape) == 2 else None
        save_scaling(graph, np.atleast_1d(numbers.mean(axis=axes)), np.atleast_1d(numbers.std(axis=axes)))
    return graph, write_examples(folder / "examples", features, splits)
