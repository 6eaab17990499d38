"""Known matrices among levels."""

import numpy as np
import pandas as pd
import pytest

from mixedeffects.errors import DataError, FormulaError
from mixedeffects.formula import build_design

FORMULA = "y ~ 1 + known(1 | animal, K)"
K = np.array([[1.0, 0.5, 0.25], [0.5, 1.0, 0.5], [0.25, 0.5, 1.0]])


@pytest.fixture
def data():
    return pd.DataFrame({"y": [1.0, 2.0, 3.0, 5.0, 4.0, 0.0], "animal": [7, 3, 5, 7, 3, 5]})


def build(data, matrix):
    return build_design(FORMULA, data, known={"K": matrix}).random[0]


def test_array_is_in_the_order_of_the_levels(data):
    random = build(data, K)
    assert random.levels.tolist() == [3, 5, 7]
    assert random.structure == "known"
    np.testing.assert_array_equal(random.matrix, K)
    assert build(data, K.tolist()).matrix.shape == (3, 3)


@pytest.mark.parametrize("kind", [int, str])
def test_table_is_aligned_by_label(kind, data):
    labels = [kind(v) for v in (9, 7, 3, 5)]
    full = np.eye(4) + 0.1 * np.add.outer(np.arange(4), np.arange(4))
    table = pd.DataFrame(full, index=labels, columns=labels)
    shuffled = table.loc[:, [labels[i] for i in (2, 0, 3, 1)]]
    wanted = full[np.ix_([2, 3, 1], [2, 3, 1])]
    np.testing.assert_array_equal(build(data, table).matrix, wanted)
    np.testing.assert_array_equal(build(data, shuffled).matrix, wanted)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.eye(4), "has shape (4, 4), but 3 levels occur"),
        (np.ones(3), "has shape (3,)"),
        ("K.csv", "not a matrix of numbers"),
        (np.diag([1.0, np.nan, 1.0]), "not finite at ('5', '5')"),
        (np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 1]]), "not symmetric"),
        (np.ones((3, 3)), "not positive definite"),
        (-np.eye(3), "not positive definite"),
        (pd.DataFrame(np.eye(3), [3, 5, 6], [3, 5, 6]), "no row or column for '7'"),
        (pd.DataFrame(np.eye(3), [3, 5, 7], [3, 5, 6]), "no row or column for '7'"),
        (pd.DataFrame(np.eye(3), [3, 5, 5], [3, 5, 7]), "label '5' more than once"),
        (pd.DataFrame([["a"]], [3], [3]), "something other than numbers"),
    ],
)
def test_refusals(matrix, words, data):
    with pytest.raises(DataError) as caught:
        build(data, matrix)
    assert words in str(caught.value)
    assert "'K'" in str(caught.value)


@pytest.mark.parametrize("known", [None, {}, {"A": K}])
def test_matrix_not_given(known, data):
    with pytest.raises((DataError, FormulaError), match=r"known matrix '[KA]'"):
        build_design(FORMULA, data, known=known)


def test_matrix_not_used(data):
    with pytest.raises(FormulaError, match="no term names it"):
        build_design("y ~ 1 + (1 | animal)", data, known={"K": K})


def test_known_beside_an_unrelated_term_of_the_same_group(data):
    terms = build_design("y ~ 1 + known(1 | animal, K) + (1 | animal)", data, known={"K": K}).random
    assert [t.structure for t in terms] == ["known", "us"]
