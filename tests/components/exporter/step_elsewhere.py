"""Run as a script, RUNTIME FOLDER < TOKENS: converts the `step` of a SavedModel and reads tokens with it elsewhere.

RUNTIME is `onnxruntime` or `openvino`, TOKENS a JSON list; the log_probs after each of them are printed as JSON. There
no output may be called what an input is called: the new state_0 is new_state_0.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2


def in_onnx_runtime(saved_model, folder):
    """`step` as a function of named arrays."""
    import onnxruntime
    import tf2onnx.convert

    module = tf.Module()
    module.loaded = tf.saved_model.load(saved_model)
    step = module.loaded.signatures["step"]
    specs = step.structured_input_signature[1]

    def renamed(**inputs):
        return {f"new_{name}" if name in specs else name: value for name, value in step(**inputs).items()}

    signature = tf.function(renamed).get_concrete_function(**specs)
    tf.saved_model.save(module, f"{folder}/renamed", signatures={"step": signature})
    options = {"saved-model": f"{folder}/renamed", "signature_def": "step", "tag": "serve", "opset": "17"}
    file = f"{folder}/step.onnx"
    sys.argv[1:] = [word for option in {**options, "output": file}.items() for word in (f"--{option[0]}", option[1])]
    tf2onnx.convert.main()
    session = onnxruntime.InferenceSession(file)
    names = [output.name for output in session.get_outputs()]
    return lambda **inputs: dict(zip(names, session.run(None, inputs), strict=True))


def in_openvino(saved_model, folder):
    """`step` as a function of named arrays."""
    import openvino
    import openvino_tokenizers  # noqa: F401 it brings the operations on strings

    # It converts the signature `serving_default`, and of one whose table another function fills it finds nothing in
    # the table: so the graph stays as it is, and only what is called what changes.
    copy = Path(shutil.copytree(saved_model, f"{folder}/renamed"))
    saved = saved_model_pb2.SavedModel.FromString((copy / "saved_model.pb").read_bytes())
    signatures = saved.meta_graphs[0].signature_def
    step = signatures["step"]
    for name in set(step.outputs) & set(step.inputs):
        step.outputs[f"new_{name}"].CopyFrom(step.outputs[name])
        del step.outputs[name]
    signatures["serving_default"].CopyFrom(step)
    (copy / "saved_model.pb").write_bytes(saved.SerializeToString())

    # Without the hint it computes in bfloat16 where the processor can.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.compile_model(openvino.convert_model(copy), "CPU", options)
    return lambda **inputs: {output.get_any_name(): value for output, value in compiled(inputs).items()}


def log_probs(step, units, tokens):
    """Reads tokens one by one from a zero state."""
    states = {name: np.zeros([1, size], "float32") for name, size in units.items()}
    found = []
    for token in tokens:
        outputs = step(token=np.asarray([token]), **states)
        states = {name: outputs[f"new_{name}"] for name in states}
        found.append(outputs["log_probs"][0].tolist())
    return found


def main(runtime, saved_model):
    specs = tf.saved_model.load(saved_model).signatures["step"].structured_input_signature[1]
    units = {name: spec.shape[1] for name, spec in specs.items() if name != "token"}
    with tempfile.TemporaryDirectory() as folder:
        step = {"onnxruntime": in_onnx_runtime, "openvino": in_openvino}[runtime](saved_model, folder)
        json.dump(log_probs(step, units, json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
