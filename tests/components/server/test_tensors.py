"""JSON and messages to arrays: formats, types, shapes, and what is none."""

import numpy as np
import pytest

from components.heavy_imports import import_quietly
from components.server.errors import RequestError
from components.server.tensors import from_json, from_proto, to_json

tf = import_quietly("tensorflow")
SPECS = {
    "text": tf.TensorSpec([None], tf.string, "text"),
    "count": tf.TensorSpec([None], tf.int32, "count"),
    "array": tf.TensorSpec([None, None, 2], tf.float32, "array"),
    "flag": tf.TensorSpec([None], tf.bool, "flag"),
    "size": tf.TensorSpec([], tf.int32, "size"),
    "seed": tf.TensorSpec([None], tf.int64, "seed"),
}


def read(body, *names, optional=()):
    return from_json(body, {name: SPECS[name] for name in names}, frozenset(optional))


def refused(body, *names, optional=()):
    with pytest.raises(RequestError) as error:
        read(body, *names, optional=optional)
    assert error.value.status == 400
    return error.value.message


def test_rows_of_values_are_the_one_required_input():
    arrays, format = read({"instances": ["é", {"b64": "gGE="}]}, "text", "count", optional=["count"])

    assert format == "row"
    assert {name: value.tolist() for name, value in arrays.items()} == {"text": ["é".encode(), b"\x80a"]}


def test_rows_of_objects_and_columns_are_the_same_arrays():
    rows = {"instances": [{"text": "a", "array": [[1, 2.5]]}, {"text": "b", "array": [[3, 4]]}]}
    columns = {"inputs": {"text": ["a", "b"], "array": [[[1, 2.5]], [[3, 4]]]}}

    (by_row, row), (by_column, column) = read(rows, "text", "array"), read(columns, "text", "array")

    assert (row, column) == ("row", "column")
    assert by_row["array"].dtype == np.float32
    np.testing.assert_array_equal(by_row["array"], [[[1, 2.5]], [[3, 4]]])
    for name in ("text", "array"):
        np.testing.assert_array_equal(by_row[name], by_column[name])


def test_scalars_flags_and_the_ends_of_integers_are_read():
    columns = {"size": 3, "flag": [True, False], "seed": [-(2**63), 2**63 - 1]}

    arrays, _ = read({"inputs": columns}, "size", "flag", "seed")

    assert {name: value.tolist() for name, value in arrays.items()} == columns
    assert arrays["size"].shape == ()


def test_empty_columns_are_arrays_without_rows():
    assert read({"inputs": {"text": []}}, "text")[0]["text"].shape == (0,)


def test_not_a_number_is_a_number():
    arrays, _ = read({"inputs": {"array": [[[float("nan"), float("inf")]]]}}, "array")

    assert np.isnan(arrays["array"][0, 0, 0])
    assert np.isinf(arrays["array"][0, 0, 1])


@pytest.mark.parametrize(
    "value",
    [
        [[[1, 2], [3]], [[4, 5], [6, 7]]],
        [[[1, 2], [3]], [[4, 5, 6], [7, 8]]],  # as many numbers as if all were of the same length
        [[[1, 2]], [[3, 4], [5, 6]]],
        [[[1, 2]], [3, 4]],
        [[[1, [2]]]],
        [[[1, 2]], []],
        [[], [[1, 2]]],
    ],
)
def test_ragged_lists_are_refused(value):
    said = refused({"inputs": {"array": value}}, "array")
    assert "as deep and as long" in said or "must have the shape" in said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("count", [1.0], "must be of int32"),
        ("count", ["1"], "must be of int32"),
        ("count", [None], "must be of int32"),
        ("count", [True], "must be of int32"),
        ("count", [2**31], "must fit int32"),
        ("count", [10**400], "must fit int32"),
        ("seed", [2**63], "must fit int64"),
        ("array", [[[1e39, 0]]], "must fit float32"),
        ("array", [[[10**400, 0]]], "must fit float32"),
        ("array", [[[1, 2, 3]]], "must have the shape"),
        ("array", [[["1", 2]]], "must be of float32"),
        ("flag", [1], "must be true or false"),
        ("text", [1], "must be a string"),
        ("text", ["\ud800"], "lone surrogates"),
        ("text", [{"b64": 1}], "must be a string"),
        ("text", [{"b64": "é"}], "must be base64"),
        ("text", [{"b64": "YQ==", "x": 1}], "must be a string"),
        ("size", [1], "must have the shape"),
    ],
)
def test_value_of_another_type_or_range_is_refused(name, value, said):
    assert said in refused({"inputs": {name: value}}, name)


def test_deeper_lists_than_an_array_can_have_are_refused():
    value = 1
    for _ in range(900):
        value = [value]

    assert "900 dimensions" in refused({"inputs": {"count": value}}, "count")


def test_names_are_checked():
    assert "has no input 'other'" in refused({"inputs": {"text": ["a"], "other": [1]}}, "text")
    assert "needs the input 'count'" in refused({"inputs": {"text": ["a"]}}, "text", "count")
    assert "several inputs" in refused({"inputs": ["a"]}, "text", "count")
    assert len(refused({"inputs": {"x" * 5000: 1}}, "text")) < 200  # it does not quote for pages
    assert "all objects, or all values" in refused({"instances": ["a", {"text": "b"}]}, "text")


def proto(value, dtype=None):
    return tf.make_tensor_proto(value, dtype)


def test_messages_are_arrays():
    np.testing.assert_array_equal(from_proto("text", proto([b"a", b""]), SPECS["text"], 9), [b"a", b""])
    np.testing.assert_array_equal(from_proto("array", proto(np.ones([1, 2, 2], "float32")), SPECS["array"], 9), 1)
    filled = proto([7], tf.int32)
    filled.tensor_shape.dim[0].size = 3
    assert from_proto("count", filled, SPECS["count"], 9).tolist() == [7, 7, 7]


def test_messages_that_are_no_such_arrays_are_refused():
    def said(name, value):
        with pytest.raises(RequestError) as error:
            from_proto(name, value, SPECS[name], 1000)
        assert error.value.status == 400
        return error.value.message

    assert "must be int32" in said("count", proto([1], tf.int64))
    assert "must have the shape" in said("count", proto(1, tf.int32))
    huge = proto([7], tf.int32)
    huge.tensor_shape.dim[0].size = 2**40
    assert "at most 1000 values" in said("count", huge)
    huge.tensor_shape.dim[0].size = -5
    assert "known" in said("count", huge)
    huge.tensor_shape.unknown_rank = True
    assert "known" in said("count", huge)
    none = proto([b"a"])
    del none.string_val[:]
    assert "as many values as its shape" in said("text", none)
    cut = proto([1, 2], tf.int32)
    cut.tensor_content = b"\0\0\0"
    assert "as many values as its shape" in said("count", cut)


def test_answers_are_rows_or_columns():
    outputs = {"text": np.asarray([b"a", "é".encode()], object), "p": np.asarray([0.5, 1.0])}

    assert to_json(outputs, "column") == {"outputs": {"text": ["a", "é"], "p": [0.5, 1.0]}}
    assert to_json(outputs, "row") == {"predictions": [{"text": "a", "p": 0.5}, {"text": "é", "p": 1.0}]}


def test_a_single_output_has_no_name():
    assert to_json({"x": np.ones(2)}, "column") == {"outputs": [1.0, 1.0]}
    assert to_json({"x": np.ones(2)}, "row") == {"predictions": [1.0, 1.0]}


def test_bytes_are_base64_where_the_name_says_so():
    found = to_json({"image_bytes": np.asarray([[b"\xff"]], object), "n": np.asarray([1])}, "column")

    assert found == {"outputs": {"image_bytes": [[{"b64": "/w=="}]], "n": [1]}}


def test_outputs_that_are_no_rows_are_refused_in_row_format():
    with pytest.raises(RequestError, match="first dimension"):
        to_json({"a": np.ones(2), "b": np.ones(3)}, "row")
    with pytest.raises(RequestError, match="first dimension"):
        to_json({"a": np.ones(())}, "row")
