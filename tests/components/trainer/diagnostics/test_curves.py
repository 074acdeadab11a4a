"""Curves out of a history, by literal examples."""

from components.trainer.diagnostics.curves import measured, series


def test_series_takes_the_numbers_that_are_there_in_the_order_of_the_steps():
    history = [{"step": 3, "nats": 1}, {"step": 1, "nats": 2.5}, {"step": 2, "nats": None}, {"step": 4, "eval": {}}]

    assert series(history, "nats") == [(1, 2.5), (3, 1.0)]


def test_series_of_a_step_taken_twice_has_the_last_number():
    history = [{"step": 1, "nats": 2.0}, {"step": 2, "nats": 9.0}, {"step": 2, "nats": 1.5}]

    assert series(history, "nats") == [(1, 2.0), (2, 1.5)]


def test_series_looks_inside_by_keys_and_indices():
    history = [{"step": 5, "diagnostics": {"layers": [{"dead": 0.5}, {"dead": 0.25}]}}, {"step": 6, "eval": {"x": 7}}]

    assert series(history, "diagnostics", "layers", 1, "dead") == [(5, 0.25)]
    assert series(history, "diagnostics", "layers", 2, "dead") == []
    assert series(history, "eval", "x") == [(6, 7.0)]


def test_measured_keeps_the_last_diagnostics_of_each_step():
    history = [{"step": 9, "diagnostics": {"a": 1}}, {"step": 9, "diagnostics": {"a": 2}}, {"step": 3, "nats": 1.0}]

    assert measured(history) == [(9, {"a": 2})]
