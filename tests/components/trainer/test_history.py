"""The history file: appended, cut back, read."""

import math

from components.trainer.history import History, read


def test_history_cut_back_goes_on_as_if_never_written(tmp_path):
    path = tmp_path / "history.jsonl"
    with History(path) as history:
        history.write(step=1, nats=2.5)
        position = history.position()
        history.write(step=2, nats=1.5)
    assert len(read(path)) == 2  # guard

    with History(path) as history:
        history.cut(position)
        history.write(step=2, nats=0.5)

    assert read(path) == [{"step": 1, "nats": 2.5}, {"step": 2, "nats": 0.5}]


def test_history_numbers_that_are_not_finite_become_null(tmp_path):
    path = tmp_path / "history.jsonl"
    with History(path) as history:
        history.write(nats=math.nan, eval={"nats": math.inf, "list": [1.0, -math.inf]}, name="ü")

    assert read(path) == [{"nats": None, "eval": {"nats": None, "list": [1.0, None]}, "name": "ü"}]
