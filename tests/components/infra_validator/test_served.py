"""The model through servers: this project's, and an executable that stands for TensorFlow Serving's."""

import stat
import sys
from pathlib import Path

import pytest

from components.heavy_imports import import_quietly
from components.infra_validator import served
from components.infra_validator.served import wrong_served
from tests.components.exporter import exported

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).parents[3]
SECONDS = 300


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return exported.end_only(tmp_path_factory.getbasetemp()).saved_model


@pytest.fixture(scope="module")
def cases(model):
    """What the child process hands over."""
    import_quietly("tensorflow")
    from components.infra_validator import check

    return check.check(model)["cases"]


@pytest.fixture(autouse=True)
def no_binary(monkeypatch, tmp_path):
    """Whatever is installed, nothing is found unless a test puts it there."""
    monkeypatch.setenv("PATH", str(tmp_path))


def executable(folder, code):
    """Puts a Python program where TensorFlow Serving is looked for."""
    file = folder / served.BINARY
    file.write_text(f"#!{sys.executable}\n{code}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


# Takes TensorFlow Serving's flags, and serves with the project's own server: what is proven is how it is started and
# asked, not TensorFlow Serving.
STANDS_IN = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
flags = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
assert set(flags) == {{"rest_api_port", "port", "model_name", "model_base_path"}}, flags
open(__file__ + ".flags", "w").write(repr(flags))
from pathlib import Path
from components.server.serve import Address, serve
address = Address("127.0.0.1", int(flags["rest_api_port"]), int(flags["port"]))
serve(Path(flags["model_base_path"]), flags["model_name"], address, lambda text: None)
"""


def test_model_through_the_local_server_answers_as_in_process(model, cases):
    assert {case["signature"] for case in cases} == {"generate", "score"}  # guard
    assert wrong_served(model, cases, SECONDS) == []


def test_model_through_a_server_that_answers_otherwise_is_refused(model, cases):
    other = [{**case, "outputs": {"log_prob": [case["outputs"]["log_prob"][0] + 1]}} for case in cases]
    reasons = wrong_served(model, other, SECONDS)
    assert len(reasons) == len(cases)
    assert all(reason.startswith("Through the local server: Signature ") for reason in reasons)


def test_tensorflow_serving_on_the_path_is_asked_too(model, cases, tmp_path):
    executable(tmp_path, STANDS_IN)
    assert wrong_served(model, cases, SECONDS) == []
    assert "'model_name': 'model'" in (tmp_path / f"{served.BINARY}.flags").read_text()  # guard: it ran


def test_tensorflow_serving_that_crashes_is_a_refusal_with_its_last_words(model, tmp_path):
    executable(tmp_path, "import sys; sys.exit('no such flag')")
    (reason,) = wrong_served(model, [], SECONDS)
    assert reason.startswith("Through TensorFlow Serving: RuntimeError: it ended with exit code 1:")
    assert "no such flag" in reason


def test_tensorflow_serving_that_never_loads_the_model_is_a_refusal(model, tmp_path):
    executable(tmp_path, "import time; time.sleep(600)")
    monkey_seconds = 20  # what the local server needs at least
    reasons = wrong_served(model, [], monkey_seconds)
    assert any("Through TensorFlow Serving: TimeoutError: the model was not loaded within" in each for each in reasons)
