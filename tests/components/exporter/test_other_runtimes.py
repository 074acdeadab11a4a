"""`step` in a runtime that is not TensorFlow: the same log-probabilities."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.components.exporter.reference import log_softmax, read

PACKAGES = {
    "onnxruntime": ("tf2onnx", "onnx", "onnxruntime"),
    "openvino": ("openvino", "openvino_tokenizers"),
}
TEXT = "ab é→\n🙂ca?b"  # "?" is not in the vocabulary


@pytest.mark.parametrize("runtime", list(PACKAGES))
def test_step_in_another_runtime_equals_numpy(full, runtime):
    missing = [name for name in PACKAGES[runtime] if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    script = Path(__file__).with_name("step_elsewhere.py")
    done = subprocess.run(
        [sys.executable, str(script), runtime, str(full.saved_model)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        input=json.dumps(["<end>", *TEXT]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]

    logits, _ = read(full, [full.tokenizer.end, *full.tokenizer.encode(TEXT)])
    expected = log_softmax(logits)
    found = np.asarray(json.loads(done.stdout.splitlines()[-1]))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.ptp(expected, axis=0).min() > 0.1  # guard: the places differ
