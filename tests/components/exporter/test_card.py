"""The model card: what it says of what is known, and that it says what is not."""

import dataclasses

import pytest

from components.exporter.card import Facts, model_card
from pipeline.evaluator_config import TASK_METRICS

FACTS = Facts(
    name="plays",
    task="language_model",
    parameters=12_345,
    architecture={"vocabulary_size": 11, "units": 7, "layers": 2, "embedding": None, "tied": False},
    tokenizers={"text": {"kind": "char", "specials": ["end", "unk"], "vocabulary": "11 tokens"}},
    executions={
        "examples": {
            **{"stage": "example_gen", "id": 1, "fingerprint": "f1", "environment": {"corpus": "c0ffee"}},
            "settings": {"example_gen": {"source": "text:a|b*.txt"}},
        },
        "model": {
            **{"stage": "trainer", "id": 6, "fingerprint": "f6", "environment": {"backend": "jax"}, "seconds": 75.4},
            "settings": {"trainer": {"epochs": 3, "seed": 4, "patience": None, "optimizer": {"name": "adam"}}},
        },
    },
    digests={"examples": "d1", "model": "d6", "evaluation": "d7"},
    training={"steps": 22, "best": 2.25},
    splits={"train": {"documents": 3, "characters": 40_000, "tokens": 40_004, "unknown": 5}},
    documents={"train": "abc"},
    metrics={
        "eval": {
            **{"bits_per_char": 2.6123, "tokens": 70_000, "nats": float("nan")},
            "intervals": {"bits_per_char": [2.55, 2.7]},
            "baselines": {"unigram": {"bits_per_char": 4.7, "gain": 2.1}},
        }
    },
    signatures={"score": ({"text": "string [batch]"}, {"log_prob": "float32 [batch]", "tokens": "int32 [batch]"})},
)


def section(card, title):
    """The lines of a section."""
    return card.split(f"## {title}\n\n")[1].split("\n\n## ")[0].splitlines()


def test_model_card_has_its_sections_in_order():
    lines = model_card(FACTS).splitlines()

    assert lines[:3] == ["# Model card: plays", "", "Task `language_model`; 12,345 parameters, float32."]
    assert [line[3:] for line in lines if line.startswith("## ")] == [
        *("Intended use", "Limits", "The model", "Training", "Data", "Results", "Where it comes from"),
        *("Signatures", "Licence"),
    ]


def test_model_card_says_what_the_model_is_and_how_it_was_trained():
    card = model_card(FACTS)

    model, training = section(card, "The model"), section(card, "Training")
    assert model[0] == "Tokenizer of `text`: kind char, specials end, unk, vocabulary 11 tokens."
    assert "2 × 7 numbers" in model[1]
    assert "| tied | no |" in model
    assert not any("embedding" in line for line in model)
    assert training[0] == (
        "Optimizer: adam. Epochs: 3. Updates: 22. Seed: 4. Backend: jax. Time: 75 s. "
        "Best figure on eval while training: 2.25."
    )
    assert "| trainer.optimizer.name | adam |" in training
    assert not any("patience" in line for line in training)


def test_model_card_names_data_and_executions_with_their_digests():
    card = model_card(FACTS)

    data, lineage = section(card, "Data"), section(card, "Where it comes from")
    assert data[0] == "Source: `text:a|b*.txt`. Digest of the source: `c0ffee`."
    assert data[-1] == "| `train` | 3 | 40,000 | 40,004 | 5 | `abc` |"
    assert lineage[-3:] == [
        "| `examples` | example_gen | 1 | `f1` | `d1` |",
        "| `model` | trainer | 6 | `f6` | `d6` |",
        "| `evaluation` | not recorded | not recorded | not recorded | `d7` |",
    ]
    assert "is that of the corpus, `text:a|b*.txt`" in section(card, "Licence")[0]


def test_model_card_shows_metrics_beside_interval_and_baseline():
    results = section(model_card(FACTS), "Results")

    assert results == [
        "| `eval` | model | 95% interval | baseline unigram |",
        "| --- | --- | --- | --- |",
        "| bits_per_char | 2.612 | 2.55 … 2.7 | 4.7 |",
        "| tokens | 70,000 |  |  |",
        "| nats | – |  |  |",
    ]


def test_model_card_lists_signatures():
    assert section(model_card(FACTS), "Signatures")[-1] == (
        "| `score` | `text` string [batch] | `log_prob` float32 [batch]<br>`tokens` int32 [batch] |"
    )


def test_model_card_cell_keeps_to_its_place_whatever_it_holds():
    card = model_card(dataclasses.replace(FACTS, architecture={**FACTS.architecture, "odd": "a|b\nc"}))

    assert r"| odd | a\|b c |" in card.splitlines()


@pytest.mark.parametrize("task", list(TASK_METRICS))
def test_model_card_of_a_model_nothing_is_known_of_says_so(task):
    sizes = {"units": 7, "layers": 2} if task == "language_model" else {}

    card = model_card(Facts(name="x", task=task, parameters=1, architecture=sizes))

    assert section(card, "Results") == ["Metrics: not recorded."]
    assert "Optimizer: not recorded." in section(card, "Training")[0]
    assert "Source: `not recorded`." in section(card, "Data")[0]
    assert section(card, "Intended use")[0] != section(model_card(FACTS), "Intended use")[0] or task == FACTS.task
    assert "None" not in card
