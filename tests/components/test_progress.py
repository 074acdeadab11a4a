"""Progress on the screen: what a terminal and a file are shown, and that who wants no colour gets none."""

import io
import os
import pty
import re
import select
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from components import progress
from components.beam_run import Meter
from components.progress import shown
from components.trainer.progress import TrainingProgress


def passes() -> None:
    with shown("evaluator: eval", 2_000, "tokens") as told:
        told(500)
        told(2_000)


def trains() -> None:
    with TrainingProgress() as training:
        training.start(0, 10)
        training.update(5, {"nats": 1.5}, 1000.0)


def beams() -> None:
    path = Path("counts").absolute()
    path.unlink(missing_ok=True)
    meter = Meter("transform", str(path), total=10)
    with meter.shown():
        meter.add(bytes=5)


def on_a_terminal(body: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> str:
    """What a terminal gets."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        patch.setenv("TERM", "xterm-256color")
        body()
        terminal.flush()
        read = b""
        while select.select([ours], [], [], 0.1)[0]:
            read += os.read(ours, 1 << 16)
    os.close(ours)
    return read.decode()


def colours(text: str) -> list[str]:
    """Codes that set a colour, of the letters or of what is behind them."""
    codes = [code for sequence in re.findall(r"\x1b\[([0-9;]*)m", text) for code in sequence.split(";")]
    return [code for code in codes if re.fullmatch("[349][0-9]|10[0-7]", code)]


@pytest.mark.parametrize("body", [passes, trains, beams])
def test_no_color_on_a_terminal_gives_no_colours(
    body: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    if body is not beams:  # whose spinner comes and goes too fast to be seen here
        assert colours(on_a_terminal(body, monkeypatch))  # guard
    monkeypatch.setenv("NO_COLOR", "1")
    plain = on_a_terminal(body, monkeypatch)
    assert plain
    assert colours(plain) == []


def test_progress_on_a_terminal_tells_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", on_a_terminal(passes, monkeypatch))
    assert re.search(r"evaluator: eval: 2,000/2,000 tokens  [\d,]+ tokens/s  ETA 0 s", text)


def test_progress_elsewhere_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    passes()
    assert file.getvalue() == ""  # it was over before a line was due
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0)
    passes()
    first, last = file.getvalue().splitlines()
    assert re.fullmatch(r"evaluator: eval: 500/2,000 tokens  [\d,]+ tokens/s  ETA \d+ s", first)
    assert re.fullmatch(r"evaluator: eval: 2,000/2,000 tokens  [\d,]+ tokens/s  ETA 0 s", last)
