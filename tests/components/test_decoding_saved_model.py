"""A decoder and its beam search as a SavedModel: any batch size, any width up to the widest, with and without XLA."""

import keras
import numpy as np
import pytest
from keras import ops

from components.decoding import beam_search, repeat_rows
from custom_layers import ContextDecoder, StopHead, TokenEmbedding

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a SavedModel is TensorFlow's")

VOCABULARY, WIDTH, UNITS, LAYERS, CONTEXT_WIDTH = 9, 4, 6, 2, 5
END, PAD, MAX_LENGTH, MAX_WIDTH = 0, 8, 7, 4


@pytest.fixture(scope="module")
def parts():
    """Table, decoder, readout and stop head with random weights."""
    table, readout, head = TokenEmbedding(VOCABULARY, WIDTH), keras.layers.Dense(VOCABULARY), StopHead()
    decoder = ContextDecoder(UNITS, LAYERS)
    table.build()
    decoder.build((None, None, WIDTH), (None, CONTEXT_WIDTH))
    readout.build((None, UNITS))
    head.build((None, UNITS))
    random = np.random.default_rng(0)
    for layer in (table, decoder, readout, head):
        layer.set_weights([1.2 * random.normal(size=weight.shape) for weight in layer.weights])
    return table, decoder, readout, head


def search(parts, stop, context, lengths, active_width, width=MAX_WIDTH):
    table, decoder, readout, head = parts
    offsets = [repeat_rows(offset, width) for offset in decoder.offsets(context)]

    def step(tokens, states):
        outputs, states = decoder.decode(table(tokens[:, None]), offsets, states)
        log_odds = head(outputs[:, 0]) if stop == "stop_head" else None
        return ops.log_softmax(readout(outputs[:, 0])), log_odds, states

    return beam_search(
        step, decoder.initial_states(context), start_token=END, end_token=END, pad_token=PAD,
        batch=ops.shape(context)[0], vocabulary=VOCABULARY, width=width, max_length=MAX_LENGTH, stop=stop,
        lengths=lengths if stop == "length_head" else None, banned=(PAD,), active_width=active_width,
    )  # fmt: skip


def arrays_of(decoded):
    named = decoded if isinstance(decoded, dict) else decoded._asdict()
    return {name: value.numpy() for name, value in named.items()}


def assert_same(found, expected):
    for name in ("tokens", "lengths", "finished"):
        np.testing.assert_array_equal(found[name], expected[name])
    np.testing.assert_allclose(found["log_prob"], expected["log_prob"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("stop", ["end_token", "stop_head", "length_head"])
def test_saved_search_of_any_batch_size_and_width_equals_the_eager_one(stop, compiled, parts, tmp_path):
    import tensorflow as tf

    specs = [
        tf.TensorSpec([None, CONTEXT_WIDTH], tf.float32, "context"),
        tf.TensorSpec([None], tf.int32, "lengths"),
        tf.TensorSpec([], tf.int32, "width"),
    ]
    module = tf.Module()
    module.parts = [variable.value for layer in parts for variable in layer.variables]
    module.search = tf.function(
        lambda context, lengths, width: search(parts, stop, context, lengths, width)._asdict(),
        input_signature=specs,
        jit_compile=compiled,
    )
    tf.saved_model.save(module, tmp_path, signatures=module.search)
    served = tf.saved_model.load(tmp_path).signatures["serving_default"]
    random = np.random.default_rng(1)
    contexts = random.normal(size=(5, CONTEXT_WIDTH)).astype("float32")
    lengths = np.array([3, 7, 1, 2, 5], "int32")

    def serve(rows, width):
        return arrays_of(
            served(context=tf.constant(contexts[rows]), lengths=tf.constant(lengths[rows]), width=tf.constant(width))
        )

    together = {width: serve(slice(None), width) for width in (1, 3)}

    for width, found in together.items():
        assert_same(found, arrays_of(search(parts, stop, tf.constant(contexts), lengths, None, width=width)))
        for row in (0, 3):  # alone: the batch is of another size, and the row's result the same
            assert_same(serve(slice(row, row + 1), width), {k: v[row : row + 1] for k, v in found.items()})
    assert len(np.unique(together[3]["tokens"], axis=0)) > 1  # guards: context and width matter
    assert (together[1]["tokens"] != together[3]["tokens"]).any()
    if compiled:
        assert module.search.get_concrete_function().function_def.attr["_XlaMustCompile"].b
