"""Slices: buckets of lengths, kinds of characters, members."""

import numpy as np
import pytest

from components.evaluator.language import _passages
from components.evaluator.slices import by_value, character_class, token_classes
from components.metrics.bootstrap import Sums, ratio
from components.transform.tokenizers import IDENTITY, ByteTokenizer, CharTokenizer, WordTokenizer
from pipeline.evaluator_config import CHARACTER_CLASSES, length_bucket


@pytest.mark.parametrize(
    ("length", "bucket"),
    [
        (0, "0-9"),
        (9, "0-9"),
        (10, "10-19"),
        (19, "10-19"),
        (20, "20-49"),
        (50, "50-99"),
        (99, "50-99"),
        (100, "100-199"),
        (1999, "1000-1999"),
        (2000, "2000-4999"),
        (1234567, "1000000-1999999"),
    ],
)
def test_length_bucket_is_by_1_2_and_5(length, bucket):
    assert length_bucket(length) == bucket


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a", "letters"),
        ("é", "letters"),
        ("7", "digits"),
        ("½", "digits"),
        ("—", "punctuation"),
        ("€", "punctuation"),
        (" ", "whitespace"),
        ("\n", "whitespace"),
        (" the", "letters"),
        ("\x07", "other"),
        ("", "other"),
    ],
)
def test_character_class_is_that_of_the_first_that_is_no_whitespace(text, kind):
    assert character_class(text) == kind


def classes(tokenizer):
    numbers, counts = token_classes(tokenizer)
    rows = zip(tokenizer.tokens, numbers, counts, strict=True)
    return {name: (CHARACTER_CLASSES[number], count) for name, number, count in rows}


def test_token_classes_know_specials_and_count_characters():
    found = classes(CharTokenizer(("unk", "end"), IDENTITY, " 7a→"))
    assert found["<end>"] == ("end", 1)
    assert found["<unk>"] == ("unknown", 1)
    assert found["7"] == ("digits", 1)
    assert found["→"] == ("punctuation", 1)
    assert classes(WordTokenizer(("end", "unk"), IDENTITY, ("the", "\n")))["the"] == ("letters", 3)
    numbers, counts = token_classes(ByteTokenizer(("end",), IDENTITY))
    assert counts[1 + np.frombuffer("é".encode(), np.uint8)].tolist() == [1, 0]
    assert CHARACTER_CLASSES[numbers[1 + ord("q")]] == "letters"


def test_by_value_has_the_figures_of_the_examples_of_each_value():
    figures = {"nats": Sums(np.asarray([[1.0, 1], [2, 1], [6, 1]]), ratio)}
    found = by_value("class", ["b", "a", "b"], figures)
    assert {name: each["nats"].value for name, each in found.items()} == {"class=a": 2.0, "class=b": 3.5}


def test_passages_of_characters_are_cut_every_thousand():
    characters = np.asarray([2500, 1, 1000])
    of_token, sizes = _passages(characters, characters, -(-characters // 1000))
    assert sizes.tolist() == [1000, 1000, 500, 1, 1000]
    assert np.bincount(of_token).tolist() == sizes.tolist()


def test_passages_of_longer_tokens_are_as_many_and_in_order():
    characters, tokens = np.asarray([2500, 1, 1000]), np.asarray([7, 1, 3])
    of_token, sizes = _passages(characters, tokens, -(-characters // 1000))
    assert sizes.tolist() == [1000, 1000, 500, 1, 1000]
    assert of_token.tolist() == [0, 0, 0, 1, 1, 1, 2, 3, 4, 4, 4]
