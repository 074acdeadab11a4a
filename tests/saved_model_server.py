"""Run as a script: uses SavedModels in a process that imports only TensorFlow.

Reads pickled (function, arguments) from stdin and writes pickled results to stdout.
"""

import os
import pickle
import sys
import traceback
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

_MODELS = {}


def model(folder):
    if folder not in _MODELS:
        _MODELS[folder] = tf.saved_model.load(folder)
    return _MODELS[folder]


def call(folder, signature, inputs):
    """Calls a signature with arrays or lists; returns arrays."""
    function = model(folder).signatures[signature]
    specs = function.structured_input_signature[1]
    tensors = {name: tf.constant(value, specs[name].dtype) for name, value in inputs.items()}
    return {name: value.numpy() for name, value in function(**tensors).items()}


def describe(folder):
    """Signature → (inputs, outputs), each name → (dtype, shape)."""
    return {
        name: tuple(
            {key: (spec.dtype.name, spec.shape.as_list()) for key, spec in specs.items()}
            for specs in (function.structured_input_signature[1], function.structured_outputs)
        )
        for name, function in model(folder).signatures.items()
    }


def defaults(folder, signature):
    """Input → default, as saved_model.pb holds them."""
    saved = saved_model_pb2.SavedModel.FromString((Path(folder) / "saved_model.pb").read_bytes())
    stored = saved.meta_graphs[0].signature_def[signature].defaults
    return {name: tf.make_ndarray(value) for name, value in stored.items()}


def warm_up(folder):
    """Does what TensorFlow Serving does with the file of requests; returns [(model, signature, sent, answers)]."""
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    file = Path(folder) / "assets.extra" / "tf_serving_warmup_requests"
    answered = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        request = PredictionLog.FromString(record).predict_log.request
        sent = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        signature = request.model_spec.signature_name
        specs = model(folder).signatures[signature].structured_input_signature[1]
        wrong = {name for name, value in sent.items() if tf.as_dtype(value.dtype) != specs[name].dtype}
        if wrong:
            raise TypeError(f"{signature}: {wrong} are of another type than the signature's.")
        answers = call(folder, signature, {**defaults(folder, signature), **sent})
        answered.append((request.model_spec.name, signature, sent, answers))
    return answered


def operations(folder):
    """Names of the operations of the graph and its functions."""
    saved = saved_model_pb2.SavedModel.FromString((Path(folder) / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    return {node.op for function in graph.library.function for node in function.node_def} | {
        node.op for node in graph.node
    }


def modules():
    """Top-level names of the imported modules."""
    return {name.partition(".")[0] for name in sys.modules}


def serve():
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not mix with the answers
    while True:
        try:
            name, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = (True, globals()[name](*arguments))
        except Exception as error:
            traceback.print_exc()
            answer = (False, f"{type(error).__name__}: {error}")
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    serve()
