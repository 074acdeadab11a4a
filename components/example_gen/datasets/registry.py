"""The data sets by name, and the options in `dataset:NAME?KEY=VALUE&…`. A new data set is a module and a line here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from urllib.parse import parse_qsl

from components.example_gen.datasets import (
    adding,
    babi_qa1,
    cmudict,
    gesture_phase,
    japanese_vowels,
    mnist,
    multi30k,
    names,
    order,
    sentence_polarity,
    tuxpaint,
    twemoji,
    ud_english_ewt,
)
from components.example_gen.datasets.interface import DataSet, FileSet, GeneratedSet
from pipeline.errors import did_you_mean

DATA_SETS: Mapping[str, FileSet | GeneratedSet] = {
    "adding": adding.ADDING,
    "babi_qa1": babi_qa1.BABI_QA1,
    "babi_qa1_supporting": babi_qa1.BABI_QA1_SUPPORTING,
    "cmudict": cmudict.CMUDICT,
    "gesture_phase_users_ab": gesture_phase.GESTURE_PHASE,
    "japanese_vowels": japanese_vowels.JAPANESE_VOWELS,
    "mnist_frames": mnist.MNIST_FRAMES,
    "mnist_pixels": mnist.MNIST_PIXELS,
    "mnist_small": mnist.MNIST_SMALL,
    "multi30k_en_fr": multi30k.MULTI30K,
    "names_18_languages": names.NAMES,
    "order": order.ORDER,
    "sentence_polarity": sentence_polarity.SENTENCE_POLARITY,
    "tuxpaint_stamps_64px": tuxpaint.TUXPAINT,
    "tuxpaint_stamps_fr": tuxpaint.TUXPAINT_FR,
    "twemoji_32px": twemoji.TWEMOJI,
    "ud_english_ewt": ud_english_ewt.UD_ENGLISH_EWT,
}


def find(source: str) -> DataSet:
    """Returns a data set.

    Args:
        source: `NAME`, or `NAME?KEY=VALUE&…` for one that has options.

    Raises:
        ValueError: There is none of that name, or it has no such option.
    """
    name, _, query = source.partition("?")
    if name not in DATA_SETS:
        raise ValueError(
            f"ExampleGen: a data set must be one of {', '.join(DATA_SETS)}. Received: source='dataset:{source}'."
            f"{did_you_mean(name, DATA_SETS)} Correct the name."
        )
    found = DATA_SETS[name]
    if not query:
        return found
    if isinstance(found, FileSet):
        raise ValueError(
            f"ExampleGen: a data set in files must have no options. Received: source='dataset:{source}'. Name {name} "
            "alone."
        )
    options = dict(parse_qsl(query, keep_blank_values=True))
    for key, value in options.items():
        least = found.least.get(key)
        if least is None:
            raise ValueError(
                f"ExampleGen: an option of {name} must be one of {', '.join(found.least)}. Received: "
                f"source='dataset:{source}'.{did_you_mean(key, found.least)} Correct {key!r}."
            )
        if not value.isdecimal() or int(value) < least:
            raise ValueError(
                f"ExampleGen: the option {key} must be an integer of at least {least}. Received: "
                f"source='dataset:{source}'. Correct {value!r}."
            )
    return dataclasses.replace(found, options={key: int(value) for key, value in options.items()})
