"""Running a module in a process of its own."""

import os

import pytest

from components.child_process import run_module


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Returns a function that makes a module out of code; its name is `made`."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    def make(code):
        (tmp_path / "made.py").write_text(code)

    return make


def test_run_module_returns_what_it_printed(module):
    module("import sys\nprint('a', sys.argv[1:])\nprint('chatter', file=sys.stderr)")

    assert run_module("made", "x", "y z") == "a ['x', 'y z']\n"


def test_run_module_searches_for_no_garbage(module):
    module("import gc\nprint(gc.isenabled())")

    assert run_module("made") == "False\n"


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_run_module_runs_on_tensorflow_whatever_the_parent_runs_on(module, monkeypatch, backend):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    module("import os\nprint(os.environ['KERAS_BACKEND'])")

    assert run_module("made") == "tensorflow\n"


def test_run_module_failure_raises_with_the_last_lines_of_its_errors(module):
    module("import sys\nfor i in range(9): print(f'line {i}', file=sys.stderr)\nsys.exit(3)")

    with pytest.raises(RuntimeError, match=r"made ended with exit code 3:\nline 4\nline 5\nline 6\nline 7\nline 8$"):
        run_module("made")


def test_run_module_exception_raises_with_its_message(module):
    module("raise ValueError('the reason')")

    with pytest.raises(RuntimeError, match="ValueError: the reason"):
        run_module("made")


def test_run_module_runs_this_code_whatever_the_current_folder_holds(tmp_path, monkeypatch):
    (tmp_path / "components").mkdir()
    (tmp_path / "components" / "__init__.py").write_text("raise SystemExit('the wrong code')")
    monkeypatch.chdir(tmp_path)

    assert run_module("components.native_logs") == ""
