"""What the model writes, and what of it was copied."""

import base64
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from components.evaluator import samples
from components.evaluator.samples import TEMPERATURES, longest_copies, samples_of
from components.tasks.catalogue import EXAMPLE_TASKS
from components.tasks.example_task import Spec
from components.transform.tokenizers import IDENTITY, BpeTokenizer, CharTokenizer, WordTokenizer
from pipeline.config import ModelConfig
from tests.components.tasks import example_data
from tests.testing import random_model, stream_of, write_lanes

VOCABULARY = CharTokenizer(("pad", "end"), IDENTITY, "abcd")
TRAIN = ["abcabcdabcd", "ddcba"]


def stream(tokenizer, documents):
    return stream_of([tokenizer.encode(text).tolist() for text in documents], tokenizer.end)


def longest_shared(text, documents):
    spans = [text[i:j] for i in range(len(text)) for j in range(i, len(text) + 1)]
    return max((span for span in spans if any(span in document for document in documents)), key=len)


def test_samples_of_a_language_model_are_texts_at_three_temperatures_and_what_they_copied(tmp_path):
    write_lanes(tmp_path / "lanes", {"train": (stream(VOCABULARY, TRAIN), 1)}, 8, len(VOCABULARY))
    VOCABULARY.save(tmp_path)

    found = samples_of(random_model(len(VOCABULARY), 5, 2), tmp_path, tmp_path / "lanes", 1)["texts"]

    assert [sample["temperature"] for sample in found] == list(TEMPERATURES)
    assert len({sample["text"] for sample in found}) == len(TEMPERATURES)
    for sample in found:
        assert sample["text"]
        assert set(sample["text"]) <= set("abcd")
        assert len(sample["copied"]) == len(longest_shared(sample["text"], TRAIN))
        assert sample["copied"] in sample["text"]


@pytest.mark.parametrize("block", [1, 3, 8, 1000])
def test_longest_copies_are_whole_wherever_the_blocks_end(monkeypatch, block):
    monkeypatch.setattr(samples, "_BLOCK", block)
    texts = ["dabcdd", "cba", "aaaa", "x", ""]

    found = longest_copies(texts, stream(VOCABULARY, TRAIN), VOCABULARY)

    assert found == ["dabcd", "cba", "a", "", ""]


def test_longest_copies_do_not_go_from_one_document_to_the_next():
    assert longest_copies(["cdddc"], stream(VOCABULARY, TRAIN), VOCABULARY) == ["ddc"]


@pytest.mark.parametrize(
    "tokenizer",
    [
        WordTokenizer(("unk", "end"), IDENTITY, ("to", "be", "or", "not")),
        BpeTokenizer(("end",), IDENTITY, ((ord("t"), ord("o")), (ord("o"), ord("r")))),
    ],
)
def test_longest_copies_are_of_characters_whatever_the_tokens(tokenizer):
    (found,) = longest_copies(["be to be not"], stream(tokenizer, ["to be or not", "not to be"]), tokenizer)

    assert found.strip() == "to be"


@pytest.mark.parametrize("kind", example_data.WRITERS)
def test_samples_of_a_model_that_writes_are_answers_to_examples_of_eval(tmp_path, kind):
    graph, examples = example_data.write(tmp_path, kind)
    task = example_data.task_of(kind)
    spec = dataclasses.replace(Spec.read(graph), longest={"tokens": 6, "target": 6})
    model = EXAMPLE_TASKS[task].build_for(ModelConfig(task=task, units=6, layers=1), spec, seed=3)

    found = samples_of(model, graph, examples, 2)["examples"]

    assert len({sample["id"] for sample in found}) == len(found) > 3
    words = set(example_data.FRENCH.words)
    for sample in found:
        assert set(sample["written"].split()) <= words
        assert len(sample["right"]) == 1
        if kind == "captioning of classes":
            assert [example_data.COMMANDS[sample["input"]]] == sample["right"]
        elif kind == "seq2seq":
            last = [example_data.WORDS.encode(word)[0] for word in sample["input"].split()[-2:]]
            assert " ".join(word for token in last for word in example_data.MEANINGS[token]) == sample["right"][0]
        else:
            assert sample["input"] is None


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_picture_is_a_png_of_the_image(channels):
    image = np.random.default_rng(channels).integers(0, 256, (5, 7, channels)).astype(np.uint8)

    picture = Image.open(io.BytesIO(base64.b64decode(samples._as_picture(image))))

    assert picture.format == "PNG"
    np.testing.assert_array_equal(np.asarray(picture).reshape(image.shape), image)


@pytest.mark.parametrize("shape", [(5, 7, 2), (5, 3), ()])
def test_picture_of_what_is_no_image_is_none(shape):
    assert samples._as_picture(np.zeros(shape, np.uint8)) is None


def test_samples_of_a_model_that_writes_nothing_are_none(tmp_path):
    graph, examples = example_data.write(tmp_path, "classification")
    model = EXAMPLE_TASKS["classification"].build_for(
        ModelConfig(task="classification", units=4, layers=1), Spec.read(graph)
    )

    assert samples_of(model, graph, examples, 1) == {}
