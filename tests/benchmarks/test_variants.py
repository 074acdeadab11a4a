"""Variants of a recipe side by side: the table, and what is run for it."""

from pathlib import Path

import pytest

from benchmarks import variants


def summary(accuracy, intervals=(0.5, 1.0)):
    """What a run prints, as far as it is read."""
    split = {
        "accuracy": accuracy,
        "nats": 0.123456,
        "examples": 7,
        "intervals": {"accuracy": list(intervals), "nats": [0.1, 0.2]},
        "baselines": {"majority": {"accuracy": 0.25}},
    }
    return {"metrics": {"eval": split, "test": split}, "stages": [{"name": "trainer", "seconds": 3.2}]}


def test_table_has_a_row_for_each_variant_and_baseline_of_each_split():
    lines = variants.table({"rnn": summary(0.75), "mean": summary(0.5)}).splitlines()

    assert lines[0] == "| variant | split | accuracy | nats |"
    assert lines[2:5] == [
        "| rnn | eval | 0.75 (0.5 … 1) | 0.1235 (0.1 … 0.2) |",
        "| mean | eval | 0.5 (0.5 … 1) | 0.1235 (0.1 … 0.2) |",
        "| *majority* | eval | 0.25 |  |",
    ]
    assert [line.split(" | ")[1] for line in lines[5:]] == ["test"] * 3


def test_table_of_chosen_metrics_has_no_others_and_a_dash_for_what_is_not_measured():
    found = variants.table({"rnn": summary(None, (None, None))}, ["accuracy"])

    assert found.splitlines()[0] == "| variant | split | accuracy |"
    assert "| rnn | test | – (– … –) |" in found


def test_main_runs_each_value_in_a_root_of_its_own(monkeypatch, tmp_path, capsys):
    runs = []
    monkeypatch.setattr(variants, "run", lambda *given: runs.append(given) or summary(len(runs) / 4))

    settings = ["--set", "trainer.epochs=1", "--root", str(tmp_path)]
    variants.main(["configs/order.yaml", "--vary", "model.encoder", "rnn", "mean", *settings])

    assert runs == [
        ("configs/order.yaml", tmp_path / "order" / value, ["trainer.epochs=1", f"model.encoder={value}"])
        for value in ("rnn", "mean")
    ]
    printed = capsys.readouterr()
    assert "| rnn | eval | 0.25 " in printed.out
    assert "| mean | eval | 0.5 " in printed.out
    assert "model.encoder=mean: trainer 3 s" in printed.err


def test_main_without_a_value_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(variants, "run", lambda *given: pytest.fail("nothing is to be run"))

    with pytest.raises(SystemExit) as ended:
        variants.main(["order", "--vary", "model.encoder"])

    assert ended.value.code == 2
    assert "--vary must name a key and one value or more. Received: --vary model.encoder." in capsys.readouterr().err


@pytest.mark.parametrize(("code", "is_done"), [(0, True), (3, True), (1, False), (2, False)])
def test_run_counts_a_model_that_is_not_blessed_as_done(monkeypatch, code, is_done):
    lines = []

    def called(line, **_):
        lines.append(line)
        return variants.subprocess.CompletedProcess(line, code, stdout='progress\n{"metrics": {}}\n')

    monkeypatch.setattr(variants.subprocess, "run", called)

    if is_done:
        assert variants.run("order", Path("root"), ["a.b=1"]) == {"metrics": {}}
    else:
        with pytest.raises(RuntimeError, match=rf"--set a\.b=1 ended with {code}\."):
            variants.run("order", Path("root"), ["a.b=1"])
    assert lines[0][2:] == ["run", "--config", "order", "--root", "root", "--json", "--set", "a.b=1"]
