"""The tables of classes, with few and with many of them."""

import numpy as np
import pytest

from components.metrics.tables import class_table, confused_table, confusion_table

MATRIX = np.asarray([[1200, 3, 0, 0], [9, 70, 1, 0], [3, 0, 0, 0], [0, 0, 0, 0]])
NAMES = ["NOUN", "VERB", "X", "absent"]


def many_classes():
    random = np.random.default_rng(0)
    matrix = random.poisson(2, (49, 49)) + np.diag(random.integers(0, 30_000, 49))
    matrix[7] = 0
    return matrix, [f"TAG-{i}" for i in range(49)]


def test_class_table_has_a_line_for_each_class_that_there_is():
    header, noun, verb, x, absent = class_table(MATRIX, NAMES).splitlines()

    assert header.split() == ["class", "precision", "recall", "F1", "support", "predicted"]
    assert noun.split() == ["NOUN", "0.990", "0.998", "0.994", "1,203", "1,212"]
    assert verb.split() == ["VERB", "0.959", "0.875", "0.915", "80", "73"]
    assert x.split() == ["X", "0.000", "0.000", "0.000", "3", "1"]
    assert absent == "(1 of 4 classes neither occur nor are predicted.)"


def test_class_table_has_a_dash_for_what_is_undefined():
    never_predicted, only_predicted = class_table(np.asarray([[0, 2], [0, 0]]), ["a", "b"]).splitlines()[1:]

    assert never_predicted.split() == ["a", "–", "0.000", "0.000", "2", "0"]
    assert only_predicted.split() == ["b", "0.000", "–", "0.000", "0", "2"]


def test_confusion_table_that_fits_is_whole_and_aligned():
    lines = confusion_table(MATRIX, NAMES).splitlines()

    assert lines[0].split() == ["true", "\\", "predicted", *NAMES]
    assert [line.split() for line in lines[1:]] == [
        ["NOUN", "1,200", "3", "·", "·"],
        ["VERB", "9", "70", "1", "·"],
        ["X", "3", "·", "·", "·"],
        ["absent", "·", "·", "·", "·"],
    ]
    assert len({len(line) for line in lines}) == 1


def test_confusion_table_of_many_classes_says_what_each_was_taken_for():
    matrix, names = many_classes()

    header, *lines = confusion_table(matrix, names).splitlines()

    assert header.split() == ["true", "support", "right", "taken", "for"]
    assert max(map(len, lines)) <= 120
    assert [line.split()[0] for line in lines] == [name for i, name in enumerate(names) if i != 7]
    for line in lines:
        name, support, right, *mistakes = line.split()
        row = matrix[names.index(name)]
        own = row[names.index(name)]
        assert support == f"{row.sum():,}"
        assert right == f"{own / row.sum():.1%}"
        named = dict(zip(mistakes[::2], map(int, mistakes[1::2]), strict=True))
        assert sum(named.values()) == row.sum() - own
        others = named.pop("others")
        assert all(row[names.index(other)] == count for other, count in named.items())
        assert list(named.values()) == sorted(np.delete(row, names.index(name)), reverse=True)[: len(named)]
        assert others > 0
        assert len(named) > 3


def test_confusion_table_of_many_classes_without_mistakes_has_no_others():
    line = confusion_table(np.diag(np.arange(1, 50)), [f"c{i}" for i in range(49)]).splitlines()[-1]

    assert line.split() == ["c48", "49", "100.0%"]


def test_confusion_table_keeps_to_the_width_wanted():
    matrix, names = np.asarray([[1200, 3, 4], [9, 70, 1], [0, 0, 5]]), ["a" * 15, "b" * 15, "c" * 15]
    whole = confusion_table(matrix, names)
    width = len(whole.splitlines()[0])

    assert confusion_table(matrix, names, width) == whole
    by_class = confusion_table(matrix, names, width - 1)
    assert by_class.splitlines()[1].split()[1:] == ["1,207", "99.4%", "c" * 15, "4", "others", "3"]
    assert max(map(len, by_class.splitlines())) < width


def test_confusion_table_by_class_names_the_last_mistake_where_it_fits():
    names = ["a" * 10, "b" * 10, "c" * 10, "d" * 10]

    line = confusion_table(MATRIX, names, width=57).splitlines()[2]

    assert line.split() == [names[1], "80", "87.5%", names[0], "9", names[2], "1"]
    assert len(line) == 57
    assert confusion_table(MATRIX, names, width=56).splitlines()[2].split()[-2:] == ["others", "1"]


def test_confused_table_has_the_share_of_all_mistakes():
    header, *lines = confused_table(MATRIX, NAMES, limit=2).splitlines()

    assert header.split() == ["true", "taken", "for", "times", "of", "mistakes"]
    assert [line.split() for line in lines] == [["VERB", "NOUN", "9", "56.2%"], ["NOUN", "VERB", "3", "18.8%"]]
    assert len({len(line) for line in (header, *lines)}) == 1


@pytest.mark.parametrize("names", [NAMES, ["a", "b", "a rather long name", "c"]])
def test_class_table_is_aligned(names):
    assert len({len(line) for line in class_table(MATRIX, names).splitlines()[:-1]}) == 1


@pytest.mark.parametrize("table", [class_table, confusion_table, confused_table])
def test_tables_refuse_names_that_are_not_as_many(table):
    with pytest.raises(ValueError, match=rf"{table.__name__}: .*Received: 3 names, a matrix of shape \(4, 4\)"):
        table(MATRIX, NAMES[:3])
