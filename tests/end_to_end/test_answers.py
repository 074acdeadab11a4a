"""The checks of served answers see each thing that can be wrong with them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.end_to_end.answers import OUTPUTS, Answer, alone, differs, wrong

TEXTS = {"text": np.array(["two words", ""])}
SERIES = {"array": np.zeros((2, 3, 4)), "lengths": np.array([3, 1])}
PROMPTS = {"prompt": np.array(["ab", ""]), "max_length": np.array([3, 3])}
WORDS = frozenset({"un", "deux"})
RIGHT = {
    "classify": (
        TEXTS,
        {"label": ["b", "a"], "probabilities": [[0.2, 0.8], [0.75, 0.25]], "classes": [["a", "b"]] * 2},
    ),
    "tag": (
        SERIES,
        {
            "tags": [["b", "a", "b"], ["a", "", ""]],
            "probabilities": [[[0.2, 0.8], [0.75, 0.25], [0.5, 0.5 + 1e-7]], [[0.75, 0.25]] * 3],
            "classes": [["a", "b"]] * 2,
        },
    ),
    "translate": (TEXTS, {"text": ["un deux", ""], "log_prob": [-1.5, -0.5], "finished": [True, False]}),
    "predict": (SERIES, {"value": [0.5, -1.0]}),
    "generate": (PROMPTS, {"text": ["abba", "aab"], "log_prob": [-1.5, -0.5], "finished": [True, False]}),
    "score": (TEXTS, {"log_prob": [-1.5, -0.5], "tokens": [10, 1]}),
}
KNOWN = {"classify": frozenset("ab"), "tag": frozenset("ab"), "translate": WORDS, "generate": frozenset("ab")}
WRONG = [
    ("classify", "label", ["a", "a"], "most probable"),
    ("classify", "label", ["b", "c"], "most probable"),
    ("classify", "probabilities", [[0.2, 0.9], [0.75, 0.25]], "sum to 1"),
    ("classify", "probabilities", [[-0.2, 1.2], [0.75, 0.25]], "sum to 1"),
    ("classify", "probabilities", [[0.2, np.nan], [0.75, 0.25]], "finite"),
    ("classify", "probabilities", [[0.2, 0.8]], "shapes"),
    ("classify", "classes", [["b", "a"]] * 2, "in order"),
    ("classify", "classes", [["a", "c"]] * 2, "those of train"),
    ("classify", "classes", ["a", "b"], "those of train"),
    ("tag", "tags", [["b", "a", "b"], ["a", "a", ""]], "behind a row's end"),
    ("tag", "tags", [["b", "b", "b"], ["a", "", ""]], "most probable"),
    ("tag", "tags", [["b", "a"], ["a", ""]], "shapes"),
    ("translate", "text", ["un trois", ""], "what train has"),
    ("translate", "text", ["un  deux", ""], "what train has"),
    ("translate", "log_prob", [0.5, -0.5], "at most 0"),
    ("translate", "finished", [True], "shapes"),
    ("predict", "value", [0.5], "shape"),
    ("predict", "value", np.zeros((2, 3, 1)), "shape"),
    ("predict", "value", [0.5, np.inf], "finite"),
    ("generate", "text", ["bbba", "aab"], "begin with their prompts"),
    ("generate", "text", ["abba", "aa"], "max_length"),
    ("generate", "text", ["abbab", "aab"], "max_length"),
    ("generate", "text", ["abbc", "aab"], "what train has"),
    ("score", "tokens", [9, 1], "characters and the end"),
]


def answer(task: str, **changed: object) -> Answer:
    values = {**RIGHT[task][1], **changed}
    return {name: (OUTPUTS[task].get(name, "float32"), np.array(value)) for name, value in values.items()}


def found(task: str, given: Answer) -> list[str]:
    return wrong(task, RIGHT[task][0], given, KNOWN.get(task, frozenset()))


@pytest.mark.parametrize("task", RIGHT)
def test_wrong_finds_nothing_in_right_answers(task: str) -> None:
    assert found(task, answer(task)) == []


def test_wrong_finds_nothing_in_a_forecast_of_each_row() -> None:
    assert found("predict", answer("predict", value=np.zeros((2, 3, 4)))) == []


@pytest.mark.parametrize(("task", "name", "value", "said"), WRONG)
def test_wrong_names_what_is_wrong(task: str, name: str, value: object, said: str) -> None:
    assert any(said in rule for rule in found(task, answer(task, **{name: value})))


@pytest.mark.parametrize("task", RIGHT)
def test_wrong_names_outputs_that_are_missing_or_of_another_type(task: str) -> None:
    right = answer(task)
    for name, (_, value) in right.items():
        assert "outputs must be" in found(task, {key: out for key, out in right.items() if key != name})[0]
        assert "outputs must be" in found(task, right | {name: ("float64", value)})[0]


def test_alone_is_a_row_of_its_own_length() -> None:
    row = alone(SERIES, 1)
    assert (row["array"].shape, row["lengths"].tolist()) == ((1, 1, 4), [1])
    assert alone(TEXTS, 0)["text"].tolist() == ["two words"]


def test_differs_names_outputs_that_depend_on_the_rows_beside() -> None:
    batch = answer("tag")
    single = {
        name: (dtype, value[1:2, :1] if name != "classes" else value[1:2]) for name, (dtype, value) in batch.items()
    }
    assert differs(batch, 1, single) == []
    assert differs(batch, 0, single) == ["tags", "probabilities"]
    single["probabilities"] = ("float32", single["probabilities"][1] + 1e-3)
    assert differs(batch, 1, single) == ["probabilities"]
