"""Figures as JSON: digits, what is not finite, arrays and dataclasses."""

import dataclasses

import numpy as np

from components.json_values import json_value


def test_json_value_keeps_six_digits_and_has_none_for_what_is_not_finite():
    assert json_value({"a": np.asarray([1 / 3, np.inf]), "b": (np.int64(2), "x")}, digits=6) == {
        "a": [0.333333, None],
        "b": [2, "x"],
    }


def test_json_value_keeps_four_digits_and_the_nesting():
    value = {"a": [1.23456, {"b": 123456.0}], "c": 7, "d": None, "e": float("nan"), "f": 1.23456e-9, "g": "text"}

    expected = {"a": [1.235, {"b": 123500.0}], "c": 7, "d": None, "e": None, "f": 1.235e-9, "g": "text"}
    assert json_value(value, digits=4) == expected


def test_json_value_without_digits_keeps_all_of_them():
    assert json_value({"a": (1 / 3, -np.inf)}) == {"a": [1 / 3, None]}


def test_json_value_of_a_dataclass_has_its_fields():
    @dataclasses.dataclass
    class Figures:
        curve: np.ndarray
        count: int

    assert json_value(Figures(np.asarray([0.25, np.nan]), 3)) == {"curve": [0.25, None], "count": 3}
