"""Calls a SavedModel where there is TensorFlow alone: `python ask_saved_model.py FOLDER < CALLS`, JSON in and out.

CALLS is a list of [signature, {input: rows}]. Answers are {output: {"dtype", "value"}}, strings as text.
"""

import json
import sys

import numpy as np
import tensorflow as tf


def answer(signature, rows):
    """Calls a signature with rows of the types that it asks for."""
    specs = signature.structured_input_signature[1]
    if set(rows) != set(specs):
        raise ValueError(f"The inputs must be {sorted(specs)}. Received: {sorted(rows)}.")
    given = {name: tf.constant(rows[name], specs[name].dtype) for name in rows}
    return {
        name: {"dtype": value.dtype.name, "value": plain(value.numpy())} for name, value in signature(**given).items()
    }


def plain(value):
    """As JSON has it."""
    if value.dtype == object:
        value = np.vectorize(lambda raw: raw.decode("utf-8"), otypes=[object])(value)
    return value.tolist()


loaded = tf.saved_model.load(sys.argv[1])
answers = [answer(loaded.signatures[name], rows) for name, rows in json.load(sys.stdin)]
own = sorted({name.partition(".")[0] for name in sys.modules} & {"components", "custom_layers", "pipeline", "tests"})
json.dump({"signatures": sorted(loaded.signatures), "modules_of_the_project": own, "answers": answers}, sys.stdout)
