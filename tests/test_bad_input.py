"""Bad input, kind by kind: the exact error, and words that name the culprit and the way out.

Nothing from below (numpy, scipy, pandas, formulaic) reaches the user: every warning is an error
in these tests.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedeffects as me
from mixedeffects.errors import (
    ColumnNotFoundError,
    ConvergenceWarning,
    DataError,
    FormulaError,
    MissingValueError,
    MixedEffectsError,
    ModelError,
    NewLevelError,
)

N = 60
FORMULA = "y ~ x + (1 | g)"


def make_data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    g = np.arange(N) % 10
    return pd.DataFrame(
        {
            "y": rng.normal(size=N) + rng.normal(size=10)[g],
            "x": rng.normal(size=N),
            "z": rng.normal(size=N),
            "g": g,
            "h": np.arange(N) % 6,
            "f": rng.choice(list("abc"), N),
        }
    )


DATA = make_data()


def replaced(**columns):
    return DATA.assign(**columns)


def with_value(name, value, row=7):
    column = DATA[name].astype(float)
    column[row] = value
    return DATA.assign(**{name: column})


def half_missing():
    early = np.arange(N) < 30
    return replaced(y=DATA["y"].where(early), x=DATA["x"].where(~early))


def fit(formula=FORMULA, data=DATA, **options):
    return me.fit(formula, data, **options)


def weights_with(value):
    weights = np.ones(N)
    weights[3] = value
    return weights


def known(matrix):
    K = matrix  # noqa: F841 - the formula finds it by name
    return me.fit("y ~ x + known(1 | g, K)", DATA)


K_LABELS = pd.DataFrame(np.eye(10), index=list("abcdefghij"), columns=list("abcdefghij"))

# name: (what to do, error, words)
CASES = {
    # -- names ---------------------------------------------------------------------------
    "misspelt response": (
        lambda: fit("yy ~ x + (1 | g)"),
        ColumnNotFoundError,
        ["'yy' is not in the data", "Did you mean 'y'", "y, x, z, g, h, f"],
    ),
    "misspelt covariate": (
        lambda: fit("y ~ xx + (1 | g)"),
        ColumnNotFoundError,
        ["'xx' is not", "Did you mean 'x'"],
    ),
    "misspelt slope": (
        lambda: fit("y ~ x + (zz | g)"),
        ColumnNotFoundError,
        ["'zz' is not", "Did you mean 'z'"],
    ),
    "misspelt group": (
        lambda: fit("y ~ x + (1 | gg)"),
        ColumnNotFoundError,
        ["'gg' is not", "Did you mean 'g'"],
    ),
    "misspelt weights": (
        lambda: fit(weights="w"),
        ColumnNotFoundError,
        ["'w' is not in the data", "The data have"],
    ),
    "misspelt offset": (
        lambda: fit(offset="o"),
        ColumnNotFoundError,
        ["'o' is not in the data", "The data have"],
    ),
    "duplicate column": (
        lambda: fit(data=pd.concat([DATA, DATA[["x"]]], axis=1)),
        DataError,
        ["'x' occurs more than once", "Rename or drop"],
    ),
    # -- the data ------------------------------------------------------------------------
    "no data": (lambda: fit(data=None), DataError, ["no data (None)", "pandas"]),
    "a list": (lambda: fit(data=[1, 2]), DataError, ["type list", "dict of columns"]),
    "records": (lambda: fit(data=[{"y": 1}]), DataError, ["list of records", "DataFrame"]),
    "an array": (
        lambda: fit(data=np.ones((3, 3))),
        DataError,
        ["ndarray", "Give the columns names"],
    ),
    "no such file": (lambda: fit(data="nofile.csv"), DataError, ["no file 'nofile.csv'"]),
    "columns of different length": (
        lambda: fit(data={"y": [1, 2, 3], "x": [1, 2], "g": [1, 1, 2]}),
        DataError,
        ["differ in length", "'x' has 2"],
    ),
    "no rows": (lambda: fit(data=DATA.iloc[:0]), DataError, ["no rows"]),
    "no columns": (lambda: fit(data=pd.DataFrame()), ColumnNotFoundError, ["'y' is not"]),
    # -- the response --------------------------------------------------------------------
    "constant response": (
        lambda: fit(data=replaced(y=3.0)),
        ModelError,
        ["'y' is constant (3", "no variation"],
    ),
    "response of zeros": (lambda: fit(data=replaced(y=0)), ModelError, ["'y' is constant (0"]),
    "infinite response": (
        lambda: fit(data=with_value("y", np.inf)),
        DataError,
        ["'y' is infinite in row 7", "drop the row"],
    ),
    "missing response": (
        lambda: fit(data=replaced(y=np.nan)),
        DataError,
        ["No row is without missing values", "'y' (60)"],
    ),
    "text response": (
        lambda: fit(data=replaced(y=DATA["f"])),
        DataError,
        ["'y' holds text", "convert it"],
    ),
    "numbers as text": (
        lambda: fit(data=replaced(y=DATA["y"].astype(str))),
        DataError,
        ["'y' holds text", "convert it"],
    ),
    "categorical response": (
        lambda: fit(data=replaced(y=DATA["f"].astype("category"))),
        DataError,
        ["'y' holds categories"],
    ),
    "boolean response": (
        lambda: fit(data=replaced(y=DATA["y"] > 0)),
        DataError,
        ["'y' holds booleans", "convert it to numbers", "binomial"],
    ),
    "dates as response": (
        lambda: fit(data=replaced(y=pd.date_range("2024-01-01", periods=N))),
        DataError,
        ["'y' holds dates"],
    ),
    "complex response": (
        lambda: fit(data=replaced(y=DATA["y"] + 1j)),
        DataError,
        ["'y' holds values of type complex"],
    ),
    "logarithm of negative numbers": (
        lambda: fit("log(y) ~ x + (1 | g)"),
        DataError,
        ["'log(y)' is not finite in row"],
    ),
    "response on the right": (
        lambda: fit("y ~ y + (1 | g)"),
        FormulaError,
        ["response 'y' is also on the right"],
    ),
    "response as a group": (
        lambda: fit("y ~ x + (1 | y)"),
        FormulaError,
        ["response 'y' is also in the random term"],
    ),
    "successes and failures": (
        lambda: fit("cbind(g, h) ~ x + (1 | f)"),
        FormulaError,
        ["cbind", "binomial"],
    ),
    "response 1e300": (
        lambda: fit(data=replaced(y=1e300 * DATA["y"])),
        DataError,
        ["The response 'y'", "e+300", "other units"],
    ),
    "response 1e-300": (
        lambda: fit(data=replaced(y=1e-300 * DATA["y"])),
        DataError,
        ["The response 'y'", "e-300", "other units"],
    ),
    "explained by fixed effects": (
        lambda: fit(data=replaced(y=1 + 2 * DATA["x"])),
        ModelError,
        ["fixed effects explain the response 'y' exactly"],
    ),
    "explained by groups": (
        lambda: fit(data=replaced(y=DATA["g"] ** 2)),
        ModelError,
        ["random effects explain the response 'y' exactly", "constant within groups"],
    ),
    "explained by both": (
        lambda: fit(data=replaced(y=DATA["g"] + 2 * DATA["x"])),
        ModelError,
        ["random effects explain the response 'y' exactly"],
    ),
    # -- covariates ----------------------------------------------------------------------
    "infinite covariate": (
        lambda: fit(data=with_value("x", np.inf)),
        DataError,
        ["'x' is infinite in row 7"],
    ),
    "infinite slope": (
        lambda: fit("y ~ 1 + (z | g)", with_value("z", -np.inf)),
        DataError,
        ["'z' is infinite in row 7"],
    ),
    "complex covariate": (
        lambda: fit(data=replaced(x=DATA["x"] + 1j)),
        DataError,
        ["'x' holds values of type complex"],
    ),
    "lists in a column": (
        lambda: fit(data=replaced(x=[[1, 2]] * N)),
        DataError,
        ["'x' holds values of type list"],
    ),
    "factor of one level": (
        lambda: fit("y ~ x + k + (1 | g)", replaced(k="a")),
        DataError,
        ["'k' has a single level, 'a'", "Leave it out"],
    ),
    "covariate 1e300": (
        lambda: fit(data=replaced(x=1e300 * DATA["x"])),
        DataError,
        ["Column 'x'", "e+300", "other units"],
    ),
    "slope 1e-300": (
        lambda: fit("y ~ 1 + (z | g)", replaced(z=1e-300 * DATA["z"])),
        DataError,
        ["Column 'z' of (z | g)", "e-300", "other units"],
    ),
    "more coefficients than rows": (
        lambda: fit("y ~ x * z * f + I(x**2) + I(z**2) + (1 | g)", DATA.iloc[:12]),
        ModelError,
        ["12 rows are too few", "leave out terms or add data"],
    ),
    # -- missing values ------------------------------------------------------------------
    "missing values refused": (
        lambda: fit(data=with_value("x", np.nan), missing="error"),
        MissingValueError,
        ["'x' (1)", "row 7", "missing='drop'"],
    ),
    "missing values in every row": (
        lambda: fit(data=half_missing()),
        DataError,
        ["No row is without missing values", "'y' (30), 'x' (30)"],
    ),
    "missing groups": (
        lambda: fit(data=replaced(g=None)),
        DataError,
        ["No row is without missing values", "'g' (60)"],
    ),
    # -- groups --------------------------------------------------------------------------
    "one level": (
        lambda: fit(data=replaced(g=1)),
        DataError,
        ["'g' has a single level, '1'", "Leave the term out"],
    ),
    "one row": (lambda: fit(data=DATA.iloc[:1]), DataError, ["'g' has a single level"]),
    "a level a row": (
        lambda: fit(data=replaced(g=np.arange(N))),
        ModelError,
        ["60 random effects", "'g'", "60 observations", "Leave out"],
    ),
    "slopes for two rows a level": (
        lambda: fit("y ~ x + (x | g)", replaced(g=np.arange(N) // 2)),
        ModelError,
        ["(x | g)", "30 levels", "Leave out slopes"],
    ),
    "a saturated factor": (
        lambda: fit(
            "y ~ x + (0 + k | g)",
            replaced(g=DATA.index // 3, k=np.array(list("abc"))[DATA.index % 3]),
        ),
        ModelError,
        ["20 levels of 'g' × 3", "cannot be told from the residual"],
    ),
    "infinite group": (
        lambda: fit(data=with_value("g", np.inf)),
        DataError,
        ["'g' is infinite in row 7"],
    ),
    "group of mixed types": (
        lambda: fit(data=replaced(g=pd.Series([1, "a"] * 30, dtype=object))),
        DataError,
        ["'g' mixes types", "Convert it"],
    ),
    "lists as groups": (
        lambda: fit(data=replaced(g=[[1], [2]] * 30)),
        DataError,
        ["'g' holds values of type list"],
    ),
    "one term twice": (
        lambda: fit("y ~ x + (1 | g) + (1 | g)"),
        FormulaError,
        ["two terms", "cannot be told apart", "Leave one out"],
    ),
    "an intercept twice": (
        lambda: fit("y ~ x + (1 | g) + (x | g)"),
        FormulaError,
        ["Intercept varies by 'g' in two terms", "(0 + x | group)"],
    ),
    # -- weights and offset --------------------------------------------------------------
    "zero weight": (
        lambda: fit(weights=weights_with(0)),
        DataError,
        ["weights is zero in row 3", "drop it"],
    ),
    "negative weight": (
        lambda: fit(weights=weights_with(-1)),
        DataError,
        ["weights is negative in row 3", "positive"],
    ),
    "complex weights": (
        lambda: fit(weights=np.full(N, 1 + 2j)),
        DataError,
        ["weights must be a column's name or real numbers"],
    ),
    "complex offset": (
        lambda: fit(offset=np.full(N, 1 + 2j)),
        DataError,
        ["offset must be a column's name or real numbers"],
    ),
    "infinite weight": (
        lambda: fit(weights=weights_with(np.inf)),
        DataError,
        ["weights is infinite in row 3"],
    ),
    "no weight at all": (
        lambda: fit(weights=np.full(N, np.nan)),
        DataError,
        ["No row is without missing values", "'weights' (60)"],
    ),
    "text as weights": (
        lambda: fit(weights="f"),
        DataError,
        ["weights: column 'f' holds text", "not numbers"],
    ),
    "too few weights": (
        lambda: fit(weights=np.ones(N - 1)),
        DataError,
        ["weights has shape (59,)", "60 rows"],
    ),
    "one weight": (lambda: fit(weights=2.0), DataError, ["weights has shape ()"]),
    "weights of all sizes": (
        lambda: fit(weights=10.0 ** np.linspace(-20, 20, N)),
        DataError,
        ["weights range from 1e-20 to 1e+20", "drop them"],
    ),
    "too few offsets": (
        lambda: fit(offset=np.ones(3)),
        DataError,
        ["offset has shape (3,)", "60 rows"],
    ),
    "text as offset": (lambda: fit(offset="f"), DataError, ["offset: column 'f' holds text"]),
    "infinite offset": (
        lambda: fit(offset=np.full(N, np.inf)),
        DataError,
        ["offset is infinite in row 0"],
    ),
    # -- arguments -----------------------------------------------------------------------
    "reml as text": (lambda: fit(reml="yes"), ModelError, ["reml='yes'", "True, False, None"]),
    "reml as a number": (lambda: fit(reml=2), ModelError, ["reml=2", "True, False, None"]),
    "another family": (
        lambda: fit(family="poison"),
        ModelError,
        ["Unknown family 'poison'", "'poisson'"],
    ),
    "family of no kind": (lambda: fit(family=3), ModelError, ["Unknown family 3", "gaussian"]),
    "quadrature": (lambda: fit(quadrature=5), ModelError, ["quadrature=5"]),
    "dispersion": (
        lambda: fit(data=replaced(y=np.abs(DATA["y"].round())), family="poisson", dispersion="~ x"),
        ModelError,
        ["'poisson' has no dispersion", "leave out"],
    ),
    "zero inflation": (
        lambda: fit(zero_inflation="~ 1"),
        ModelError,
        ["no zeros", "leave out zero_inflation"],
    ),
    "residual structure": (
        lambda: fit(residual="ar1"),
        ModelError,
        ["residual='ar1'", "leave it out"],
    ),
    "unknown on_check": (
        lambda: fit(on_check="raise"),
        ModelError,
        ["on_check='raise'", "'warn', 'error', 'ignore'"],
    ),
    "unknown missing": (
        lambda: fit(missing="keep"),
        ModelError,
        ["missing='keep'", "'drop', 'error'"],
    ),
    "start too long": (
        lambda: fit(start=[1.0, 2.0]),
        ModelError,
        ["start needs 1 finite values", "(2,)"],
    ),
    "start as text": (lambda: fit(start="auto"), ModelError, ["start='auto' is not numbers"]),
    "start not a number": (lambda: fit(start=[np.nan]), ModelError, ["start needs 1 finite"]),
    "start far away": (
        lambda: fit("y ~ x + (x | g)", start=[1e300, 0.0, 1.0]),
        ModelError,
        ["start=[1e+300", "start nearer, or leave it out"],
    ),
    "progress is no function": (
        lambda: fit(progress=3),
        ModelError,
        ["progress=3 cannot be called"],
    ),
    # -- formulas ------------------------------------------------------------------------
    "formula of no text": (lambda: fit(None), FormulaError, ["formula is text, not NoneType"]),
    "empty formula": (lambda: fit(""), FormulaError, ["no '~'"]),
    "no tilde": (lambda: fit("y + x + (1 | g)"), FormulaError, ["no '~'"]),
    "no random term": (
        lambda: fit("y ~ x"),
        FormulaError,
        ["no random term", "(1 | group)"],
    ),
    "unclosed bracket": (lambda: fit("y ~ x + (1 | g"), FormulaError, ["unclosed '('", "^"]),
    "two bars": (lambda: fit("y ~ x + (1 | g | h)"), FormulaError, ["second '|'", "a/b"]),
    "no group": (lambda: fit("y ~ x + (1 | )"), FormulaError, ["no group after '|'"]),
    "no effects": (lambda: fit("y ~ x + (0 | g)"), FormulaError, ["no random effect left of"]),
    "unknown function": (
        lambda: fit("y ~ foo(x) + (1 | g)"),
        FormulaError,
        ["'foo' is not a function", "allowed are"],
    ),
    "unknown structure": (
        lambda: fit("y ~ x + car(1 | g)"),
        MixedEffectsError,
        ["car"],
    ),
    "ar1 at broken times": (
        lambda: fit("y ~ x + ar1(z | g)"),
        DataError,
        ["ar1", "'z'", "make it a factor"],
    ),
    # -- relationship matrices -----------------------------------------------------------
    "no matrix": (
        lambda: fit("y ~ x + known(1 | g, nowhere)"),
        DataError,
        ["'nowhere'", "define a variable"],
    ),
    "matrix of another size": (
        lambda: known(np.eye(3)),
        DataError,
        ["'K' has shape (3, 3)", "10 levels"],
    ),
    "asymmetric matrix": (
        lambda: known(np.triu(np.ones((10, 10)))),
        DataError,
        ["'K' is not symmetric", "(K + K.T) / 2"],
    ),
    "indefinite matrix": (
        lambda: known(np.ones((10, 10))),
        DataError,
        ["'K' is not positive definite", "1e-6"],
    ),
    "matrix with gaps": (
        lambda: known(np.full((10, 10), np.nan)),
        DataError,
        ["'K' is not finite"],
    ),
    "matrix of text": (lambda: known("a"), DataError, ["'K' is not a matrix of numbers"]),
    "matrix of other levels": (
        lambda: known(K_LABELS),
        DataError,
        ["'K' has no row or column for", "'g'"],
    ),
}


def assert_refused(ask, error, words):
    with pytest.raises(error) as caught:
        ask()
    assert caught.type is error or error is MixedEffectsError
    message = str(caught.value)
    for word in words:
        assert word in message, f"{word!r} is not in: {message}"


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_in_words(name):
    assert_refused(*CASES[name])


def test_there_are_many_kinds():
    assert len(CASES) >= 40


# -- asked of a fit ----------------------------------------------------------------------------

NEW = DATA.iloc[:5]
ASKED = {
    "new data without a covariate": (
        lambda f: f.predict(NEW.drop(columns="x")),
        ColumnNotFoundError,
        ["'x' is not in the data"],
    ),
    "new data without the group": (
        lambda f: f.predict(NEW.drop(columns="g")),
        ColumnNotFoundError,
        ["'g' is not in the data"],
    ),
    "new data of no kind": (lambda f: f.predict([1, 2]), DataError, ["type list"]),
    "a covariate that became text": (
        lambda f: f.predict(NEW.assign(x="a")),
        DataError,
        ["'x'", "text"],
    ),
    "a new group": (
        lambda f: f.predict(NEW.assign(g=99)),
        NewLevelError,
        ["'g' has '99'", "new_levels='population'"],
    ),
    "unknown interval": (
        lambda f: f.predict(NEW, interval="both"),
        ModelError,
        ["interval='both'", "'confidence', 'prediction'"],
    ),
    "unknown kind of effects": (
        lambda f: f.predict(NEW, random="all"),
        ModelError,
        ["random='all'", "'conditional', 'population'"],
    ),
    "unknown way with new levels": (
        lambda f: f.predict(NEW, new_levels="ignore"),
        ModelError,
        ["new_levels='ignore'", "'error', 'population', 'sample'"],
    ),
    "unknown scale": (lambda f: f.predict(NEW, scale="log"), ModelError, ["scale='log'"]),
    "level in percent": (
        lambda f: f.predict(NEW, interval="confidence", level=95),
        ModelError,
        ["level=95", "level=0.95"],
    ),
    "level as text": (
        lambda f: f.predict(NEW, interval="confidence", level="95%"),
        ModelError,
        ["level='95%'", "level=0.95"],
    ),
    "degrees of freedom that are not there": (
        lambda f: f.fixef(df="kenward"),
        ModelError,
        ["'kenward'", "'kenward-roger'"],
    ),
    "method that is not there": (
        lambda f: f.confint(method="boot"),
        ModelError,
        ["method='boot'", "'wald'"],
    ),
    "unknown residuals": (
        lambda f: f.residuals("deviance"),
        ModelError,
        ["kind='deviance'", "'response', 'pearson', 'scaled'"],
    ),
    "unknown draws": (
        lambda f: f.simulate(random="all"),
        ModelError,
        ["random='all'", "'marginal', 'conditional'"],
    ),
    "refit of another length": (
        lambda f: f.refit(np.ones(7)),
        DataError,
        ["(7,)", "60 values are needed"],
    ),
    "refit with gaps": (
        lambda f: f.refit(np.where(np.arange(N) == 4, np.nan, 1.0)),
        DataError,
        ["not finite at position 4"],
    ),
    "refit of text": (lambda f: f.refit(["a"] * N), DataError, ["real numbers"]),
    "refit of a constant": (lambda f: f.refit(np.ones(N)), ModelError, ["is constant"]),
    "refit of what is explained": (
        lambda f: f.refit(DATA["x"]),
        ModelError,
        ["explain the response 'y' exactly"],
    ),
}


@pytest.fixture(scope="module")
def fitted():
    return fit()


@pytest.mark.parametrize("name", ASKED)
def test_bad_questions_are_refused_in_words(fitted, name):
    ask, error, words = ASKED[name]
    assert_refused(lambda: ask(fitted), error, words)


# -- formulas that try to run code ---------------------------------------------------------------

ATTACKS = [
    "y ~ __import__('os').system('touch {path}') + (1 | g)",
    "y ~ x + (1 | __import__('os').system('touch {path}'))",
    "y ~ x + (__import__('os') | g)",
    "__import__('os').system('touch {path}') ~ x + (1 | g)",
    "y ~ {{open('{path}', 'w')}} + (1 | g)",
    "y ~ open('{path}', 'w') + (1 | g)",
    "y ~ eval('1') + (1 | g)",
    "y ~ exec('1') + (1 | g)",
    "y ~ x.__class__ + (1 | g)",
    "y ~ I(x.__class__.__mro__) + (1 | g)",
    "y ~ (lambda: 1)() + (1 | g)",
    "y ~ I([a for a in (1, 2)]) + (1 | g)",
    "y ~ np.load('{path}') + (1 | g)",
    "y ~ log(x, out=x) + (1 | g)",
    "y ~ poly(x, __import__('os')) + (1 | g)",
    "y ~ C(f, __import__('os')) + (1 | g)",
    "y ~ x + offset(__import__('os').getpid()) + (1 | g)",
    "y ~ x; import os + (1 | g)",
    "y ~ `__import__('os').system('touch {path}')` + (1 | g)",
    "y ~ x[0] + (1 | g)",
    "y ~ f'{{x}}' + (1 | g)",
    "y ~ x := 3 + (1 | g)",
    "y ~ x + known(1 | g, __import__('os'))",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_formulas_run_no_code(attack, tmp_path: Path):
    path = tmp_path / "made"
    with pytest.raises((FormulaError, ColumnNotFoundError)):
        me.fit(attack.format(path=path), DATA)
    assert not path.exists()


# -- odd but good ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float32", "Int64", "Float64"])
def test_narrow_and_nullable_numbers(dtype):
    """Sums of int8 do not wrap around."""
    numbers = DATA.assign(x=(30 * DATA["x"]).round(), y=(20 * DATA["y"]).round())
    narrow = numbers.assign(x=numbers["x"].abs(), y=numbers["y"].abs())
    expected = me.fit("y ~ x + (x || g)", narrow)
    other = narrow.astype({"x": dtype, "y": dtype})
    assert me.fit("y ~ x + (x || g)", other).objective == pytest.approx(expected.objective)


def test_gaps_anywhere_are_counted_and_reported():
    data = with_value("x", np.nan, 1)
    data.loc[4, "y"] = np.nan
    data.loc[[4, 9], "f"] = None
    data["g"] = data["g"].astype("Int64")
    data.loc[12, "g"] = pd.NA
    result = me.fit("y ~ x + f + (1 | g)", data)
    assert dict(result.design.dropped) == {"y": 1, "x": 1, "f": 2, "g": 1}
    assert result.nobs == N - 4
    assert "56 of 60" in str(result.summary())


def test_missing_weights_and_offsets_drop_their_rows():
    weights = weights_with(np.nan)
    result = fit(weights=weights)
    assert dict(result.design.dropped) == {"weights": 1}
    kept = np.arange(N) != 3
    assert result.objective == pytest.approx(fit(data=DATA[kept]).objective)


@pytest.mark.parametrize(
    ("formula", "columns", "aliased"),
    [
        ("y ~ x + x2 + (1 | g)", {"x2": 2 * DATA["x"]}, ("x2",)),
        ("y ~ x2 + x + (1 | g)", {"x2": 2 * DATA["x"]}, ("x",)),
        ("y ~ x + z + s + (1 | g)", {"s": DATA["x"] + DATA["z"]}, ("s",)),
        ("y ~ x + c + (1 | g)", {"c": 1.0}, ("c",)),
        ("y ~ x + c + (1 | g)", {"c": 0.0}, ("c",)),
        ("y ~ f + k + (1 | g)", {"k": DATA["f"].str.upper()}, ("k[T.B]", "k[T.C]")),
    ],
)
@pytest.mark.parametrize("reml", [True, False])
def test_collinear_columns_are_named_and_left_out(formula, columns, aliased, reml):
    result = me.fit(formula, replaced(**columns), reml=reml)
    assert result.estimates.aliased == aliased
    assert not set(aliased) & set(result.fixef()["term"])
    assert np.all(np.isfinite(result.fixef()["std_error"]))
    kept = formula
    for name in {a.split("[")[0] for a in aliased}:
        kept = kept.replace(f"+ {name} ", "")
    assert result.objective == pytest.approx(me.fit(kept, replaced(**columns), reml=reml).objective)
    assert any(name in str(result.summary()) for name in aliased)


@pytest.mark.parametrize(
    ("formula", "columns"),
    [
        ("y ~ x + (1 | g) + (1 | g2)", {"g2": DATA["g"] + 100}),
        ("y ~ x + (x + x2 | g)", {"x2": 2 * DATA["x"]}),
        ("y ~ x + (c | g)", {"c": 1.0}),
    ],
)
def test_variances_that_cannot_be_told_apart_are_said_so(formula, columns):
    with pytest.warns(ConvergenceWarning, match=r"curvature.*flat.*simplify"):
        result = me.fit(formula, replaced(**columns))
    assert not result.converged
    assert np.isfinite(result.objective)


def test_two_rows_a_level_carry_independent_slopes():
    """What lme4 fits: as many effects as rows, told apart by the covariate."""
    data = replaced(g=np.arange(N) // 2)
    one = me.fit("y ~ x + (x || g)", data, on_check="ignore")
    two = me.fit("y ~ x + (1 | g) + (0 + x | g)", data, on_check="ignore")
    assert one.objective == pytest.approx(two.objective, abs=1e-6)


def test_empty_cells_do_not_count_against_the_rows():
    """Columns that no row needs are aliased before rows and coefficients are compared."""
    f = np.repeat(np.arange(8), 3)
    data = DATA.iloc[:24].assign(
        a=[f"a{i}" for i in f], b=[f"b{i}" for i in f], g=np.tile([0, 1, 2], 8)
    )
    result = me.fit("y ~ a * b + (1 | g)", data, on_check="ignore")
    assert len(result.beta) == 8
    assert len(result.estimates.aliased) == 56


@pytest.mark.parametrize("noise", [1e-2, 1e-4])
def test_a_residual_that_is_small_but_real(noise):
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(20), 6)
    y = rng.normal(size=20)[g] + noise * rng.normal(size=120)
    data = pd.DataFrame({"y": y, "g": g})
    result = me.fit("y ~ 1 + (1 | g)", data)
    means = data.groupby("g")["y"].transform("mean")
    assert result.sigma**2 == pytest.approx(((y - means) ** 2).sum() / 100, rel=1e-5)
    assert result.converged


def test_a_million_groups():
    rng = np.random.default_rng(1)
    n = 1_000_000
    g = np.arange(2 * n) // 2
    y = rng.normal(size=n)[g] + rng.normal(size=2 * n)
    result = me.fit("y ~ 1 + (1 | g)", {"y": y, "g": g})
    assert result.theta[0] == pytest.approx(1.0, abs=0.01)
    assert result.sigma == pytest.approx(1.0, abs=0.01)


def test_categories_within_categories():
    polars = pytest.importorskip("polars")
    table = polars.DataFrame(
        {
            "y": DATA["y"].to_numpy(),
            "x": DATA["x"].to_numpy(),
            "g": [{"a": i % 10} for i in range(N)],
        }
    )
    with pytest.raises(DataError, match="'g'"):
        me.fit(FORMULA, table)
    tuples = replaced(g=[(i % 10, "a") for i in range(N)])
    with pytest.raises(DataError, match="'g' holds values of type tuple"):
        me.fit(FORMULA, tuples)


def test_text_streams_are_no_data():
    with pytest.raises(DataError, match="StringIO"):
        me.fit(FORMULA, io.StringIO("y,x,g\n1,2,3\n"))


def test_unknown_arguments_are_pythons_own_error():
    with pytest.raises(TypeError, match="REML"):
        me.fit(FORMULA, DATA, REML=False)


def test_a_factor_beyond_the_memory_is_refused(monkeypatch):
    from mixedeffects.fitting import refusals

    monkeypatch.setattr(refusals, "physical_memory", lambda: 100)
    with pytest.raises(ModelError, match=r"needs .* GB for its factor .* leave out one"):
        fit()
