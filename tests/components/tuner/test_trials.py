"""What is remembered of trials, and the configuration that their values make."""

import pytest

from components.tuner.report import report
from components.tuner.search import Found
from components.tuner.trials import Trial, append, candidate, mend, read
from pipeline.config_file import validate
from pipeline.errors import UsageError

TRIALS = [
    Trial(1, {"model.units": 4, "trainer.length_warmup": None}, "completed", 1.25, ((1, 1.5), (2, 1.25)), 2.5),
    Trial(2, {"model.units": 5, "trainer.length_warmup": {"steps": 3}}, "failed", None, ((1, None),), 0.1, "Ärger: Ω"),
]


def config():
    return validate(
        {
            "pipeline": {"name": "q"},
            "example_gen": {"source": "inline:hello"},
            "transform": {"lanes": 4},
            "tuner": {"parameters": {"model.units": {"low": 1, "high": 9}}},
        }
    )


def test_read_returns_what_was_appended(tmp_path):
    for trial in TRIALS:
        append(tmp_path / "trials", trial)

    assert read(tmp_path / "trials") == TRIALS
    assert read(tmp_path / "none") == []


def test_mend_cuts_off_a_line_that_was_not_written_whole(tmp_path):
    file = tmp_path / "trials"
    for trial in TRIALS:
        append(file, trial)
    whole = file.read_bytes()

    for cut in (1, 20, len(whole.splitlines(keepends=True)[1])):
        file.write_bytes(whole[:-cut])
        mend(file)
        assert read(file) == TRIALS[:1]
    mend(tmp_path / "none")


def test_candidate_has_the_values_and_no_tuner():
    values = {"model.units": 3, "trainer.length_warmup.steps": 7, "trainer.optimizer": {"name": "sgd"}}

    found = candidate(config(), values)

    assert (found.model.units, found.trainer.optimizer.name, found.tuner) == (3, "sgd", None)
    assert found.trainer.length_warmup.steps == 7
    expected = config().model_copy(update={"tuner": None, "model": found.model, "trainer": found.trainer})
    assert found == expected


def test_candidate_whose_values_do_not_go_together_is_refused_in_words():
    with pytest.raises(UsageError, match=r"trainer\.batch_size must divide transform\.lanes=4; received 3"):
        candidate(config(), {"trainer.batch_size": 3})


def test_report_ranks_the_trials_and_tells_of_failures():
    trials = [
        Trial(1, {"model.units": 4}, "completed", 2.5, ((1, 2.5),)),
        Trial(2, {"model.units": 5}, "completed", 1.5, ((1, 1.5),)),
        Trial(3, {"model.units": 6}, "pruned", 1.0, ((1, 1.0),)),
        Trial(4, {"model.units": 7}, "failed", message="the reason"),
    ]

    lines = report(Found(trials, {"model.units": 1.0})).splitlines()

    assert lines[:2] == [
        "4 trials: 2 completed, 1 pruned, 1 failed.",
        "Best: trial 2, 1.5000 bits per character on eval.",
    ]
    assert [line.split()[0] for line in lines[4:7]] == ["2", "1", "3"]
    assert "  trial 4: the reason" in lines
    assert lines[-1].split() == ["100.0%", "model.units"]
