"""Run as a script, FOLDER < TOKENS: converts the `step` of a SavedModel to ONNX and reads tokens with ONNX Runtime.

TOKENS is a JSON list; the log_probs after each of them are printed as JSON.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx.convert


def convert(saved_model, file):
    """Writes `step` as ONNX, where no output may be called what an input is called: state_0 → new_state_0."""
    module = tf.Module()
    module.loaded = tf.saved_model.load(saved_model)
    step = module.loaded.signatures["step"]
    specs = step.structured_input_signature[1]

    def renamed(**inputs):
        return {f"new_{name}" if name in specs else name: value for name, value in step(**inputs).items()}

    with tempfile.TemporaryDirectory() as folder:
        signature = tf.function(renamed).get_concrete_function(**specs)
        tf.saved_model.save(module, folder, signatures={"step": signature})
        options = {"saved-model": folder, "signature_def": "step", "tag": "serve", "opset": "17", "output": str(file)}
        sys.argv[1:] = [word for name, value in options.items() for word in (f"--{name}", value)]
        tf2onnx.convert.main()


def log_probs(file, tokens):
    """Reads tokens one by one from a zero state."""
    session = onnxruntime.InferenceSession(str(file))
    names = [output.name for output in session.get_outputs()]
    states = {
        spec.name: np.zeros([1, spec.shape[1]], "float32") for spec in session.get_inputs() if spec.name != "token"
    }
    found = []
    for token in tokens:
        outputs = dict(zip(names, session.run(None, {"token": np.asarray([token], object), **states}), strict=True))
        states = {name: outputs[f"new_{name}"] for name in states}
        found.append(outputs["log_probs"][0].tolist())
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as here:
        onnx = Path(here) / "step.onnx"
        convert(sys.argv[1], onnx)
        print(json.dumps(log_probs(onnx, json.load(sys.stdin))))
