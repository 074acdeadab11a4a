"""The Evaluator stage: what it writes, and the verdict."""

import itertools
import json
import math

import numpy as np
import pytest

from components.evaluator.baselines import trigram_nats, unigram_nats
from components.evaluator.stage import Evaluator
from components.tasks import files
from components.tasks.example_task import Spec
from components.tasks.regression import SequenceRegressor
from components.transform.tokenizers import IDENTITY, CharTokenizer
from pipeline.config import EvaluatorConfig, ModelConfig
from pipeline.evaluator_config import TASK_METRICS
from pipeline.files import digest_folder
from tests.components.tasks import example_data
from tests.testing import document_nats, forward, random_model, stream_of, write_documents, write_lanes

VOCABULARY = CharTokenizer(("pad", "end"), IDENTITY, "abcd")
END, UNITS = VOCABULARY.end, 5
RANDOM = np.random.default_rng(11)
SPLITS = {
    "train": [RANDOM.integers(2, 6, 50).tolist()],
    "eval": [[2, 3, 4], [], [5, 5, 2, 3, 2, 2, 4]],
    "test": [RANDOM.integers(2, 6, 30).tolist(), [3]],
}


@pytest.fixture(scope="module")
def weights():
    return random_model(len(VOCABULARY), UNITS, 2).get_weights()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "model").mkdir()
    files.save(random_model(len(VOCABULARY), UNITS, 2), folder / "model")
    VOCABULARY.save(folder)
    streams = {name: (stream_of(documents, END), 1) for name, documents in SPLITS.items()}
    write_lanes(folder / "lanes", streams, 8, len(VOCABULARY))
    texts = {name: [VOCABULARY.decode(document) for document in documents] for name, documents in SPLITS.items()}
    return {
        "examples": write_documents(folder / "examples", texts),
        "model": folder / "model",
        "transform_graph": folder,
        "transformed_examples": folder / "lanes",
    }


def run(folder, inputs, **settings):
    """Runs the stage; returns the folders of the evaluation and of the blessing."""
    outputs = {"evaluation": folder / "evaluation", "blessing": folder / "blessing"}
    for output in outputs.values():
        output.mkdir(parents=True)
    Evaluator(evaluator=EvaluatorConfig.model_validate(settings)).run(inputs, outputs, folder)
    return outputs["evaluation"], outputs["blessing"]


@pytest.fixture(scope="module")
def blessed(tmp_path_factory, inputs):
    bounds = {"bits_per_char": {"upper": 100.0}}
    return run(tmp_path_factory.mktemp("blessed"), inputs, thresholds=bounds, show_probabilities=4)


def test_evaluator_documents_equal_each_document_alone(blessed, weights):
    documents = json.loads((blessed[0] / "documents.json").read_text("utf-8"))

    assert set(documents) == {"eval", "test"}
    for split, entries in documents.items():
        expected = [document_nats(weights, document, END) for document in SPLITS[split]]
        assert [entry["nats"] for entry in entries] == pytest.approx(expected, rel=1e-5)
        assert [entry["tokens"] for entry in entries] == [len(document) + 1 for document in SPLITS[split]]


def test_evaluator_metrics_are_token_weighted_and_compared_with_the_baselines(blessed, weights):
    metrics = json.loads((blessed[0] / "metrics.json").read_text("utf-8"))

    train = stream_of(SPLITS["train"], END)
    for split in ("eval", "test"):
        tokens = sum(len(document) + 1 for document in SPLITS[split])
        nats = sum(document_nats(weights, document, END) for document in SPLITS[split]) / tokens
        found = metrics[split]
        assert found["tokens"] == tokens
        assert found["nats"] == pytest.approx(nats, rel=1e-5)
        assert found["bits_per_char"] == pytest.approx(nats / math.log(2), rel=1e-5)
        assert found["perplexity"] == pytest.approx(math.exp(nats), rel=1e-4)
        counts = {name for name, value in found.items() if isinstance(value, int)}
        intervals = found["intervals"]
        assert intervals["nats"][0] <= found["nats"] <= intervals["nats"][1]
        assert intervals["bits_per_char"] == pytest.approx([n / math.log(2) for n in intervals["nats"]])
        assert intervals["perplexity"] == pytest.approx([math.exp(n) for n in intervals["nats"]])
        assert set(found) - counts - {"baselines", "intervals", "slices"} == set(
            TASK_METRICS["language_model"]
        )  # thresholds can be on them
        held_out = stream_of(SPLITS[split], END)
        baselines = {
            "unigram": unigram_nats(train, held_out, len(VOCABULARY)) / math.log(2),
            "trigram": trigram_nats(train, held_out, len(VOCABULARY), END) / math.log(2),
        }
        for name, bits in baselines.items():
            assert found["baselines"][name]["bits_per_char"] == pytest.approx(bits)
            assert found["baselines"][name]["gain"] == pytest.approx(bits - nats / math.log(2), rel=1e-4)


def test_evaluator_within_thresholds_blesses(blessed):
    assert [path.name for path in blessed[1].iterdir()] == ["BLESSED"]
    assert (blessed[1] / "BLESSED").read_text("utf-8") == ""


def test_evaluator_show_probabilities_tabulates_the_first_steps_of_eval(blessed, weights):
    report = (blessed[0] / "report.txt").read_text("utf-8").splitlines()
    start = next(i for i, line in enumerate(report) if line.startswith("p(next token)"))
    rows = [line.split() for line in report[start + 2 : start + 6]]

    tokens = stream_of(SPLITS["eval"], END)[:4]
    logits, _ = forward(weights, tokens[None], [np.zeros((1, UNITS))] * 2, tokens[None] == END)
    p = np.exp(logits[0]) / np.exp(logits[0]).sum(axis=-1, keepdims=True)
    assert [row[0] for row in rows] == ["<end>", "a", "b", "c"]
    for row, expected, target in zip(rows, p, [2, 3, 4, END], strict=True):
        assert [float(cell.strip("*")) for cell in row[1:]] == pytest.approx(expected, abs=0.0051)
        assert [cell.endswith("*") for cell in row[1:]] == [token == target for token in range(len(VOCABULARY))]


def test_evaluator_above_the_threshold_does_not_bless_and_says_why(tmp_path, inputs):
    _, blessing = run(tmp_path, inputs, thresholds={"bits_per_char": {"upper": 0.5}})

    assert [path.name for path in blessing.iterdir()] == ["NOT_BLESSED"]
    reason = (blessing / "NOT_BLESSED").read_text("utf-8")
    assert "bits_per_char" in reason
    assert "at most 0.5" in reason


def test_evaluator_evaluation_does_not_depend_on_thresholds_so_that_what_reads_it_need_not_run_again(tmp_path, inputs):
    refused, _ = run(tmp_path / "refused", inputs, thresholds={"bits_per_char": {"upper": 0.5}})
    blessed, verdict = run(tmp_path / "blessed", inputs)

    assert (verdict / "BLESSED").is_file()
    assert digest_folder(refused) == digest_folder(blessed)


def test_evaluator_figures_of_a_split_with_nothing_to_predict_are_null(tmp_path):
    numbers = itertools.count()
    _, features = example_data.KINDS["forecast"]

    def with_a_single_row_in_test(random):
        array = example_data.waves(random)["array"]
        return {"array": array[:1] if next(numbers) >= sum(example_data.SIZES.values()) - 25 else array}

    assert example_data.SIZES["test"] == 25  # guard: it is written last
    graph, examples = example_data.write_kind(tmp_path, with_a_single_row_in_test, features)
    config = ModelConfig(task="regression_sequence", units=3, layers=1)
    files.save(SequenceRegressor.build_for(config, Spec.read(graph)), tmp_path)
    inputs = {"model": tmp_path, "transform_graph": graph, "transformed_examples": examples, "examples": examples}

    evaluation, _ = run(tmp_path, inputs)

    def refuse(word):
        raise AssertionError(word)  # NaN and infinities are no JSON

    metrics = json.loads((evaluation / "metrics.json").read_text("utf-8"), parse_constant=refuse)
    assert metrics["eval"]["mse"] > 0
    assert metrics["test"]["mse"] is None
    assert metrics["test"]["intervals"]["mse"] == [None, None]
    assert metrics["test"]["baselines"]["last"]["mse"] is None
    assert "–" in (evaluation / "report.txt").read_text("utf-8")


def test_evaluator_slices_are_the_tokens_that_they_name(blessed, weights):
    slices = json.loads((blessed[0] / "metrics.json").read_text("utf-8"))["eval"]["slices"]

    assert set(slices) == {"length=0-9", "character=letters", "character=end"}
    tokens = stream_of(SPLITS["eval"], END)
    logits, _ = forward(weights, tokens[None, :-1], [np.zeros((1, UNITS))] * 2, tokens[None, :-1] == END)
    nats = -np.log(np.exp(logits[0]) / np.exp(logits[0]).sum(axis=-1, keepdims=True))
    nats = nats[np.arange(len(tokens) - 1), tokens[1:]]
    for name, chosen in (("end", tokens[1:] == END), ("letters", tokens[1:] != END)):
        assert slices[f"character={name}"]["nats"] == pytest.approx(nats[chosen].mean(), rel=1e-4)
        assert slices[f"character={name}"]["bits_per_char"] == pytest.approx(
            nats[chosen].mean() / math.log(2), rel=1e-4
        )
    report = (blessed[0] / "report.txt").read_text("utf-8")
    assert "the worst of 3 documents" in report
    assert "eval-1" in report
