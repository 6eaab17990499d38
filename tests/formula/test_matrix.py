"""Model matrices: names and values are formulaic's, bases and codings are R's."""

import random

import formulaic
import numpy as np
import pandas as pd
import pytest

from mixedeffects.errors import ColumnNotFoundError, DataError, FormulaError, NewLevelError
from mixedeffects.formula import build_design

N = 72


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "y": rng.normal(size=N),
            "x": rng.uniform(1, 5, N),
            "z": rng.normal(size=N),
            "f": pd.Categorical(np.resize(list("bca"), N), categories=list("cab")),
            "h": np.resize(["u", "u", "u", "v", "v", "v", "w", "w", "w"], N),
            "k": np.repeat(["s", "t"], N // 2),
            "year": np.resize([1995, 1996, 1996, 1997], N),
            "Informed.liking": rng.normal(size=N),
            "two words": rng.uniform(1, 2, N),
            "g": np.repeat(np.arange(12), 6),
        }
    )


@pytest.mark.parametrize(
    "terms",
    [
        "1",
        "0 + x",
        "x + z",
        "x*z",
        "f",
        "0 + f",
        "0 + x + f",
        "0 + f + h",
        "f*h",
        "f*x",
        "x*f*h",
        "f*h*k",
        "f:x",
        "x + f:x",
        "f + f:x",
        "0 + f:x",
        "f:h",
        "0 + f:h",
        "f:h + k",
        "f*h - f",
        "f*h - h - f",
        "f/h",
        "0 + f/h",
        "f/x",
        "(f + h + x)^2",
        "f:h:k",
        "f + h:k",
        "log(x)*f",
        "I(x**2) + x",
        "exp(x/2):f + log(`two words`)",
        "`Informed.liking`*f",
        "`two words`",
        "poly(x, 2)",
        "poly(x, 2):f",
        "poly(x, 3, raw=True)",
        "bs(x, df=4)",
        "bs(x, df=5)*k",
        "bs(x, knots=[2, 3.5], degree=2)",
        "cs(x, df=3)",
        "cr(x, knots=[2, 3])",
        "scale(x) + center(z)",
        "scale(x, center=False)",
        "C(f, contr.sum)",
        "C(f, contr.sum)*C(h, contr.sum)",
        "0 + C(f, contr.sum)",
        "C(f, contr.helmert)",
        "C(f, contr.poly)",
        "C(f, contr.diff)*x",
        "C(f, contr.SAS)",
        "C(f, contr.treatment('a'))",
        "C(f, contr.treatment(base='b'))*h",
        "C(year)",
    ],
)
def test_same_as_formulaic(terms, data):
    design = build_design(f"y ~ {terms} + (1 | g)", data)
    theirs = formulaic.Formula(terms).get_model_matrix(data, output="pandas")
    assert design.x_names == tuple(theirs.columns)
    np.testing.assert_allclose(design.X, theirs.to_numpy(float), rtol=1e-12, atol=1e-12)
    assert design.X.flags.c_contiguous
    again = build_design(f"y ~ {terms} + (1 | g)", data.iloc[::-1])
    assert again.x_names == design.x_names
    np.testing.assert_allclose(again.X, design.X[::-1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("effects", ["f", "0 + f", "x + f", "x*f", "f:x", "0 + x:f", "x + f:x"])
def test_random_effects_are_coded_alike(effects, data):
    random = build_design(f"y ~ 1 + ({effects} | g)", data).random[0]
    theirs = formulaic.Formula(effects).get_model_matrix(data, output="pandas")
    assert random.names == tuple(theirs.columns)
    np.testing.assert_allclose(random.values, theirs.to_numpy(float), rtol=1e-12)


def test_columns_know_their_term(data):
    fixed = build_design("y ~ f*x + poly(z, 2) + (1 | g)", data).spec.fixed
    assert fixed.terms == ("1", "f", "x", "poly(z, 2)", "f:x")
    assert fixed.term_of == (0, 1, 1, 2, 3, 3, 4, 4)


def test_reference_level_is_the_first_of_the_columns_own_order(data):
    assert build_design("y ~ f + (1 | g)", data).x_names[1:] == ("f[T.a]", "f[T.b]")
    plain = data.assign(f=data["f"].astype(str))
    assert build_design("y ~ f + (1 | g)", plain).x_names[1:] == ("f[T.b]", "f[T.c]")


def test_booleans_are_factors(data):
    flagged = data.assign(flag=data["x"] > 3)
    design = build_design("y ~ flag*x + I(flag*x) + (0 + flag | g)", flagged)
    assert design.x_names == ("Intercept", "flag[T.True]", "x", "I(flag * x)", "flag[T.True]:x")
    np.testing.assert_array_equal(design.X[:, 3], design.X[:, 4])
    assert design.random[0].names == ("flag[False]", "flag[True]")


def test_factor_of_integers(data):
    design = build_design("y ~ factor(year) + as.factor(k) + (1 | g)", data)
    assert design.x_names[1:] == (
        "factor(year)[T.1996]",
        "factor(year)[T.1997]",
        "factor(k)[T.t]",  # Python has no name with a dot
    )
    assert build_design("y ~ year + (1 | g)", data).x_names == ("Intercept", "year")


def test_dates_are_factors(data):
    days = pd.to_datetime("2024-02-01") + pd.to_timedelta(np.arange(N) % 2, unit="D")
    names = build_design("y ~ day + (1 | g)", data.assign(day=days)).x_names
    assert names == ("Intercept", "day[T.2024-02-02]")


def test_comparisons(data):
    design = build_design("y ~ I(x > 3) + I((x - 3)*(x >= 3)) + I(f == 'a') + (1 | g)", data)
    np.testing.assert_array_equal(design.X[:, 1], data["x"] > 3)
    np.testing.assert_array_equal(design.X[:, 2], (data["x"] - 3).clip(lower=0))
    np.testing.assert_array_equal(design.X[:, 3], data["f"] == "a")
    assert design.x_names[3] == "I(f == 'a')"


def test_hinges(data):
    design = build_design("y ~ pmax(x - 3, 0) + pmin(x, z) + (1 | g)", data)
    np.testing.assert_array_equal(design.X[:, 1], (data["x"] - 3).clip(lower=0))
    np.testing.assert_array_equal(design.X[:, 2], np.minimum(data["x"], data["z"]))


def test_logical_values_count_as_numbers(data):
    design = build_design("y ~ I((x > 2) + (x > 3)) + exp(x > 3) + (1 | g)", data)
    np.testing.assert_array_equal(design.X[:, 1], 1.0 * (data["x"] > 2) + (data["x"] > 3))
    np.testing.assert_allclose(design.X[:, 2], np.exp(1.0 * (data["x"] > 3)), rtol=1e-15)


# names that formulaic's parser, Python or formulaic's memory of a transform would stumble on
@pytest.mark.parametrize(
    ("terms", "names", "column", "expected"),
    [
        ("log(log) + log", ("log(log)", "log"), 1, lambda d: np.log(d["x"])),
        ("log(`yield`)", ("log(`yield`)",), 1, lambda d: np.log(d["x"] + 1)),
        ("scale(`a b`) + a_b", ("scale(`a b`)", "a_b"), 2, lambda d: d["z"]),
        ("I(c*2)", ("I(c * 2)",), 1, lambda d: d["x"] * 2),
        ('I(s == "B\'s")', ('I(s == "B\'s")',), 1, lambda d: d["k"] == "s"),
        ('C(s, contr.treatment("B\'s"))', None, 1, lambda d: d["k"] == "t"),
    ],
)
def test_awkward_names(terms, names, column, expected, data):
    x, z = data["x"], data["z"]
    odd = {"log": x, "yield": x + 1, "a b": x, "a_b": z, "c": x}
    awkward = data.assign(**odd, s=data["k"].map({"s": "B's", "t": 'q"'}))
    design = build_design(f"y ~ {terms} + (1 | g)", awkward)
    assert names is None or design.x_names[1:] == names
    np.testing.assert_allclose(design.X[:, column], expected(data))
    new = design.spec.apply(awkward.iloc[[40, 3]], random=False).X
    np.testing.assert_allclose(new, design.X[[40, 3]], rtol=1e-14, atol=1e-14)


# ---- R 4.2.2: x <- c(0, 1, 2, 3.5, 5, 7, 8, 10) ----------------------------------------------

X = np.array([0, 1, 2, 3.5, 5, 7, 8, 10])
NS_3 = [
    [0.0000000000000000, 0.000000000000000, 0.000000000000000],
    [-0.0766545467091279, 0.252682387465837, -0.169712051283025],
    [-0.0975903429847229, 0.451082551721417, -0.302965892947220],
    [0.0745625931809716, 0.545742337659074, -0.363428500634096],
    [0.3748398836071983, 0.452471712904602, -0.255229216649100],
    [0.5122603836282955, 0.327702881264240, 0.061854916925646],
    [0.3723200560850534, 0.334545944897999, 0.264043089926039],
    [-0.1414689911403258, 0.430837382109174, 0.710631609031152],
]
NS_3_AT = [  # at -1, 4, 12: linear outside
    [0.0859410051147167, -0.261729424667546, 0.175788419552830],
    [0.1736166409309683, 0.527243433553379, -0.343606069907688],
    [-0.7176336096027437, 0.549156901971992, 1.168476707630752],
]
NS_KNOTS = [0.114171307128690, 0.544790766113930, -0.354404781575953]  # knots 2, 6 at 3.5
BS_5 = [0.147928459592918, 0.595195110201132, 0.252238749046529, 0.004637681159420, 0.0]  # at 3.5
POLY_3 = [-0.112803151100506, -0.359057585166167, 0.338672241915464]  # at 3.5
SCALE = [-1.281575482287989, -1.000682225896101, -0.719788969504213, -0.298449084916381]


def columns_of(terms, *, start=1):
    data = {"y": np.arange(8.0), "x": X, "g": np.arange(8) % 3}
    return build_design(f"y ~ {terms} + (1 | g)", data)


def test_splines_are_those_of_r():
    design = columns_of("ns(x, df=3)")
    assert design.x_names[1:] == tuple(f"ns(x, df=3)[{i}]" for i in (1, 2, 3))
    np.testing.assert_allclose(design.X[:, 1:], NS_3, atol=1e-14)
    new = design.spec.apply({"x": [-1.0, 4, 12]}, random=False).X
    np.testing.assert_allclose(new[:, 1:], NS_3_AT, atol=1e-14)
    np.testing.assert_allclose(columns_of("ns(x, knots=c(2, 6))").X[3, 1:], NS_KNOTS, atol=1e-14)
    np.testing.assert_allclose(columns_of("bs(x, df=5)").X[3, 1:], BS_5, atol=1e-14)


def test_polynomials_and_scales_are_those_of_r():
    np.testing.assert_allclose(columns_of("poly(x, 3)").X[3, 1:], POLY_3, atol=1e-14)
    np.testing.assert_allclose(columns_of("scale(x)").X[:4, 1], SCALE, atol=1e-14)
    rms = np.sqrt(np.sum(X**2) / 7)
    np.testing.assert_allclose(columns_of("scale(x, FALSE, TRUE)").X[:, 1], X / rms)
    np.testing.assert_allclose(columns_of("scale(x, scale=FALSE)").X[:, 1], X - X.mean())


# ---- what cannot be evaluated ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "error", "words"),
    [
        ("log(f)", FormulaError, "column 'f' holds categories"),
        ("I(h + 1)", FormulaError, "column 'h' holds text"),
        ("I(f == 'q')", FormulaError, "'q' is not a level of 'f'"),
        ("log(z)", DataError, "Term 'log(z)' is not finite in row"),
        ("log(z):f", DataError, "is not finite in row"),
        ("poly(log(z), 2)", DataError, "is not finite in row"),
        ("scale(log(z))", DataError, "is not finite in row"),
        ("poly(x, 0)", FormulaError, "poly(x, 0): the degree must be at least 1"),
        ("poly(year, 3)", FormulaError, "needs at least 4 distinct values"),
        ("poly(x, 'a')", FormulaError, "poly(x, 'a')"),
        ("poly(x, z)", FormulaError, "options of a function"),
        ("bs(x, df=2)", FormulaError, "bs(x, df=2): Invalid value for `df`"),
        ("bs(x, df=100000)", FormulaError, "too many columns"),
        ("ns(x, knots=c(-10))", FormulaError, "inside the range"),
        ("ns(x, df=0)", FormulaError, "df must be at least 1"),
        ("log(bs(x, df=4))", FormulaError, "arguments that do not fit"),
        ("poly(f, 2)", FormulaError, "column 'f' holds categories"),
        ("factor(x > 3)", FormulaError, "factor(...) takes a column"),
        ("I(10^100^100)", FormulaError, "I(10 ** 100 ** 100)"),
        ("I(x:z)", FormulaError, "is not arithmetic"),
        ("scale(I(x - x))", FormulaError, "do not vary"),
        ("C(f, contr.treatment('q'))", FormulaError, "the level 'q' is not one of c, a, b"),
        ("C(f, z)", FormulaError, "contrasts are written contr.sum"),
        ("nothing", ColumnNotFoundError, "Column 'nothing' is not in the data"),
        ("Informed.likin", ColumnNotFoundError, "Did you mean 'Informed.liking'?"),
    ],
)
def test_refusals(terms, error, words, data):
    with pytest.raises(error) as caught:
        build_design(f"y ~ {terms} + (1 | g)", data)
    assert words in str(caught.value)


def test_infinite_value_names_column_and_row(data):
    broken = data.assign(x=data["x"].where(data.index != 7, np.inf))
    for terms in ("x + (1 | g)", "z + (x | g)", "log(x):f + (1 | g)", "z + offset(x) + (1 | g)"):
        with pytest.raises(DataError, match="Column 'x' is infinite in row 7"):
            build_design(f"y ~ {terms}", broken)


def test_row_of_an_infinite_value_counts_dropped_rows(data):
    broken = data.assign(x=data["x"].where(data.index != 7, np.inf))
    broken.loc[[0, 3], "z"] = np.nan
    with pytest.raises(DataError, match="Column 'x' is infinite in row 7"):
        build_design("y ~ x + z + (1 | g)", broken)


def test_single_level(data):
    one = data[data["k"] == "s"]
    for terms in ("k + (1 | g)", "x + (k | g)", "x:k + (1 | g)", "C(k, contr.sum) + (1 | g)"):
        with pytest.raises(DataError, match=r"Column 'k' has a single level, 's'"):
            build_design(f"y ~ {terms}", one)


def test_unused_levels_are_left_out_and_noted(data):
    wide = data.assign(f=data["f"].cat.set_categories(["z", "c", "a", "b"]))
    design = build_design("y ~ f + (f | g)", wide)
    assert design.x_names == ("Intercept", "f[T.a]", "f[T.b]")
    assert design.notes == ("Column 'f': 'z' not among the rows used and left out of its levels.",)
    with pytest.raises(NewLevelError, match="Column 'f' has 'z', which the fit has not seen"):
        design.spec.apply({"f": ["z"]}, random=False)


# ---- random formulas -------------------------------------------------------------------------

ATOMS = ("x", "z", "f", "h", "k", "log(x)", "poly(x, 2)", "C(f, contr.sum)", "bs(x, df=3)")


def random_terms(rng, depth):
    if depth == 0 or rng.random() < 0.35:
        return rng.choice(ATOMS)
    if rng.random() < 0.15:
        return f"({random_terms(rng, depth - 1)})**2"
    operator = rng.choice([" + ", ":", " * ", " / "])
    return random_terms(rng, depth - 1) + operator + random_terms(rng, depth - 1)


@pytest.mark.parametrize("seed", range(60))
def test_random_formulas_are_coded_as_by_formulaic(seed, data):
    rng = random.Random(seed)
    terms = rng.choice(["", "0 + "]) + random_terms(rng, 2)
    theirs = formulaic.Formula(terms).get_model_matrix(data, output="pandas")
    design = build_design(f"y ~ {terms} + (1 | g)", data)
    assert design.x_names == tuple(theirs.columns)
    np.testing.assert_allclose(design.X, theirs.to_numpy(float), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("terms", "effects", "covered"),
    [
        ("x + f", "f", True),
        ("x*f", "x*f", True),
        ("x*f + C(h, contr.sum)", "C(h, contr.sum) + x", True),
        ("x*f", "0 + f", False),
        ("x*f", "x:f", False),
        ("0 + f", "f", False),
        ("x", "x + f", False),
    ],
)
def test_random_effects_among_the_fixed_ones(terms, effects, covered, data):
    design = build_design(f"y ~ {terms} + ({effects} | g)", data)
    random = design.random[0]
    theirs = formulaic.Formula(effects).get_model_matrix(data, output="pandas")
    assert design.spec.fixed.covers(design.spec.parsed.random[0].formula) == covered
    assert random.names == tuple(theirs.columns)
    np.testing.assert_allclose(random.values, theirs.to_numpy(float), rtol=1e-12)
    again = design.spec.apply(data.iloc[::-1]).random[0].values
    np.testing.assert_allclose(again, random.values[::-1], rtol=1e-12)
