"""Imports without the chatter of native code, and without a search for garbage among what they make."""

import gc
import os
import sys
from pathlib import Path

import pytest

from components.heavy_imports import import_quietly


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


MAKES_A_CYCLE = "import gc\nENABLED = gc.isenabled()\nCYCLE = []\nCYCLE.append(CYCLE)"


def test_import_quietly_what_the_import_makes_is_never_searched_for_garbage(module):
    module("heavy_module", MAKES_A_CYCLE)

    imported = import_quietly("heavy_module")

    assert not imported.ENABLED
    assert gc.isenabled()
    assert not any(found is imported.CYCLE for found in gc.get_objects())  # frozen objects are not among them


def test_import_plain_makes_objects_that_are_searched(module):
    module("plain_module", MAKES_A_CYCLE)

    import plain_module

    assert plain_module.ENABLED
    assert any(found is plain_module.CYCLE for found in gc.get_objects())


def test_import_quietly_failing_import_leaves_the_collector_on(module):
    module("broken_module", "raise ImportError('the reason')")

    with pytest.raises(ImportError):
        import_quietly("broken_module")

    assert gc.isenabled()


def test_import_quietly_where_the_collector_is_off_leaves_it_off(module):
    module("heavy_module", "")
    gc.disable()
    try:
        import_quietly("heavy_module")

        assert not gc.isenabled()
    finally:
        gc.enable()
