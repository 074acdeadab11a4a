"""Native code that is kept quiet."""

import os

import pytest

from components.native_logs import quiet


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
