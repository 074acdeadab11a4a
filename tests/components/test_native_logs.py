"""Imports without the chatter of native code."""

import os
import sys
from pathlib import Path

import pytest

from components.native_logs import import_quietly, quiet


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Returns a function that makes a module out of code, under a name; it is forgotten after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def make(name, code):
        (tmp_path / f"{name}.py").write_text(code)
        made.append(name)

    yield make
    for name in made:
        sys.modules.pop(name, None)


def test_import_quietly_drops_what_is_written_to_stderr_during_the_import(module, capfd):
    module("noisy_module", "import os\nos.write(2, b'chatter of native code')\nVALUE = 3")

    imported = import_quietly("noisy_module")

    assert imported.VALUE == 3
    assert capfd.readouterr().err == ""


def test_import_quietly_gives_stderr_back(module, capfd):
    module("noisy_module", "import os\nos.write(2, b'chatter')")
    import_quietly("noisy_module")

    os.write(2, b"afterwards")

    assert capfd.readouterr().err == "afterwards"


def test_import_quietly_failing_import_raises_and_gives_stderr_back(module, capfd):
    module("broken_module", "raise ImportError('the reason')")

    with pytest.raises(ImportError, match="the reason"):
        import_quietly("broken_module")
    os.write(2, b"afterwards")

    assert capfd.readouterr().err == "afterwards"


def test_import_quietly_opens_no_file_for_good(module):
    module("noisy_module", "")
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("this system has no /proc")
    before = len(list(descriptors.iterdir()))

    import_quietly("noisy_module")

    assert len(list(descriptors.iterdir())) == before


def test_import_quietly_module_that_is_there_is_returned():
    assert import_quietly("sys") is sys


def test_quiet_keeps_one_stream_and_gives_stderr_back_after_a_failure(capfd):
    def fail():
        with quiet() as stream:
            os.write(2, b"chatter")
            print("told", file=stream)
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    os.write(2, b"afterwards")
    assert capfd.readouterr().err == "told\nafterwards"
