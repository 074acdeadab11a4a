"""What a run prints at its end."""

import json
from pathlib import Path

import pytest

from pipeline.console import show_run
from pipeline.summary import RunSummary, StageResult


def pushed(root: Path, destination: str) -> RunSummary:
    """A run that has pushed a model that writes texts."""
    for key, file, content in (
        ("evaluation", "metrics.json", {"eval": {"bits_per_char": 2.0}}),
        ("pushed_model", "pushed.json", {"destination": destination}),
    ):
        (root / key).mkdir()
        (root / key / file).write_text(json.dumps(content))
    outputs = {key: root / key for key in ("evaluation", "pushed_model")}
    return RunSummary("succeeded", 1, root, (StageResult("pusher", "ran", outputs=outputs),))


@pytest.mark.parametrize(
    ("destination", "told"),
    [
        ("gs://bucket/models/1", "\nPushed: gs://bucket/models/1\n"),
        (
            "/srv/a model/1",
            "\nPushed: /srv/a model/1\nTry:    python run_pipeline.py sample --model '/srv/a model' --stream\n",
        ),
    ],
)
def test_run_ends_with_what_can_be_tried(
    destination: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = pushed(tmp_path, destination)
    show_run(lambda on_event: summary, "title")
    assert capsys.readouterr().out == told
