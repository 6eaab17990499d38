"""The tree of errors: what is also a ValueError, what the messages show, pickling."""

import pickle

import pytest

from mixedeffects import errors
from mixedeffects.errors import ColumnNotFoundError, FormulaError, suggestion


def test_tree():
    for name in errors.__all__:
        kind = getattr(errors, name)
        if name.endswith("Error"):
            assert issubclass(kind, errors.MixedEffectsError)
        elif name.endswith("Warning"):
            assert issubclass(kind, errors.MixedEffectsWarning)
    for kind in (errors.MissingValueError, errors.NewLevelError, ColumnNotFoundError):
        assert issubclass(kind, errors.DataError)
    assert issubclass(errors.DataError, ValueError)
    assert issubclass(FormulaError, ValueError)
    assert issubclass(errors.MixedEffectsWarning, UserWarning)


def test_docstring_draws_every_class():
    drawn = errors.__doc__
    assert all(name in drawn for name in errors.__all__ if name != "suggestion")


def test_column_not_found():
    error = ColumnNotFoundError("subject", ["Days", "Subject"])
    assert str(error) == (
        "Column 'subject' is not in the data. Did you mean 'Subject'? The data have: Days, Subject."
    )
    many = ColumnNotFoundError("zz", [f"c{i}" for i in range(25)])
    assert str(many).endswith("c19 and 5 more.")
    assert "Did you mean" not in str(many)


def test_formula_error_points_at_the_place():
    error = FormulaError("unclosed '('", "y ~\t(1 | g", 4)
    assert str(error) == "unclosed '('\n  y ~ (1 | g\n      ^"
    assert str(FormulaError("empty")) == "empty"
    assert str(FormulaError("unknown name", "y ~ x")) == "unknown name\n  y ~ x"


@pytest.mark.parametrize(
    "error", [ColumnNotFoundError("a", ("b",)), FormulaError("reason", "y ~ x", 2)]
)
def test_pickle(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_suggestion():
    assert suggestion("Subjct", ["Subject"]) == " Did you mean 'Subject'?"
    assert suggestion("x", []) == ""
