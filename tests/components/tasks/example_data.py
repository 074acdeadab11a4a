"""Small data for the tasks of examples, each with a rule to be learnt, as Transform would write them."""

import numpy as np

from components.transform.graph import save_classes, save_features, save_scaling
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


SERIES = FeatureInfo("array", "float32", shape=(None, 2))
KINDS = {
    "classification": (last_decides, {"tokens": TOKENS, "label": FeatureInfo("class", "uint8", size=2)}),
    "tagging": (previous_tags, {"tokens": TOKENS, "tags": FeatureInfo("classes", "uint8", size=3)}),
    "regression_sequence": (marked_sum, {"array": SERIES, "value": FeatureInfo("number", "float32")}),
    "forecast": (waves, {"array": SERIES}),
}


def write(folder, kind, seed=0):
    """Writes `graph` and `examples` into a folder; returns both."""
    make, features = KINDS[kind]
    random = np.random.default_rng(seed)
    splits = {name: [make(random) for _ in range(size)] for name, size in SIZES.items()}
    graph = folder / "graph"
    graph.mkdir(parents=True)
    save_features(graph, features)
    if "tokens" in features:
        WORDS.save(graph)
    for name, names in {"label": LABELS, "tags": TAGS}.items():
        if name in features:
            save_classes(graph, name, names)
    if "array" in features:
        numbers = np.concatenate([row["array"] for row in splits["train"]]).astype("float64")
        save_scaling(graph, numbers.mean(axis=0), numbers.std(axis=0))
    return graph, write_examples(folder / "examples", features, splits)
