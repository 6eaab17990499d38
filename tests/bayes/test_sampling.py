"""me.sample from end to end: options, seeds, progress, warnings, bad input."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

import mixedeffects as me
from drawn_posteriors import table
from mixedeffects.errors import (
    ColumnNotFoundError,
    ConvergenceWarning,
    DataError,
    FormulaError,
    MissingValueError,
    ModelError,
)
from mixedeffects.model import sampling

QUICK = {"chains": 2, "draws": 60, "tune": 80, "on_check": "ignore"}


@pytest.fixture(scope="module")
def sleep():
    data = me.datasets.load("sleepstudy")
    return me.sample("Reaction ~ Days + (Days | Subject)", data, seed=1)


def test_attributes(sleep):
    assert (sleep.chains, sleep.draws, sleep.seed, sleep.nobs) == (4, 1000, 1, 180)
    assert (sleep.formula, sleep.family) == ("Reaction ~ Days + (Days | Subject)", "gaussian")
    assert dict(sleep.n_groups) == {"Subject": 18}
    assert sleep.converged
    assert "drawn exactly" in sleep.way
    assert repr(sleep).startswith("<Posterior 'Reaction ~ Days + (Days | Subject)'")


def test_near_the_fit_where_priors_are_weak(sleep):
    fit = me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))
    own, theirs = sleep.fixef(), fit.fixef()
    # a tenth of a standard error: priors, skewness, and 4,000 draws
    np.testing.assert_allclose(
        own["estimate"], theirs["estimate"], atol=0.1 * theirs["std_error"].min()
    )
    np.testing.assert_allclose(own["std_error"], theirs["std_error"], rtol=0.25)
    np.testing.assert_allclose(sleep.sigma, fit.sigma, rtol=0.05)


def test_the_same_seed_gives_the_same_draws():
    one, two = (me.sample("y ~ x + (1 | g)", table(), seed=7, **QUICK) for _ in range(2))
    other = me.sample("y ~ x + (1 | g)", table(), seed=8, **QUICK)
    np.testing.assert_array_equal(one._sampled.draws.beta, two._sampled.draws.beta)
    assert not np.array_equal(one._sampled.draws.beta, other._sampled.draws.beta)


def test_a_seed_is_drawn_and_told():
    one = me.sample("y ~ x + (1 | g)", table(), **QUICK)
    again = me.sample("y ~ x + (1 | g)", table(), seed=one.seed, **QUICK)
    np.testing.assert_array_equal(one._sampled.draws.beta, again._sampled.draws.beta)


def test_other_families_and_predictors():
    post = me.sample(
        "count ~ x + (1 | g)", table(), family="poisson", zero_inflation="~ 1", seed=1, **QUICK
    )
    assert list(post.fixef()["component"]) == ["conditional", "conditional", "zero_inflation"]
    assert post.family == "poisson"
    assert np.isfinite(post.loo().elpd)


def test_priors_matter():
    tight = {"x": me.priors.Normal(5.0, 0.01)}
    post = me.sample("y ~ x + (1 | g)", table(), priors=tight, seed=1, **QUICK)
    assert abs(post.beta[1] - 5.0) < 0.05
    row = post.priors[post.priors["parameter"] == "x"]
    assert row[["prior", "source"]].to_numpy().tolist() == [["Normal(5, 0.01)", "given"]]


def test_failing_checks_are_one_warning_or_error_or_nothing():
    options = {**QUICK, "seed": 3, "draws": 20}
    with pytest.warns(ConvergenceWarning, match="ask for more draws") as caught:
        post = me.sample("y ~ x + (1 | g)", table(), **(options | {"on_check": "warn"}))
    assert len(caught) == 1
    assert not post.converged
    assert "NOT to be trusted" in str(post.summary())
    with pytest.raises(ModelError, match="checks of the draws do not hold"):
        me.sample("y ~ x + (1 | g)", table(), **(options | {"on_check": "error"}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        me.sample("y ~ x + (1 | g)", table(), **options)


def test_progress_is_told():
    seen = []
    me.sample(
        "count ~ x + (1 | g)",
        table(),
        family="poisson",
        seed=1,
        progress=lambda made, total: seen.append((made, total)),
        **QUICK,
    )
    assert seen
    assert {total for _, total in seen} == {2 * 140}
    assert max(made for made, _ in seen) <= 2 * 140


def test_a_bar_goes_to_the_error_stream(capsys):
    me.sample("y ~ x + (1 | g)", table(), seed=1, progress=True, **QUICK)
    assert capsys.readouterr().out == ""


def test_posteriors_can_be_pickled(sleep):
    again = pickle.loads(pickle.dumps(sleep))
    assert again.fixef().equals(sleep.fixef())


def test_known_matrices_are_found_where_sample_is_called():
    pandas = pytest.importorskip("pandas")
    names = [f"g{i}" for i in range(8)]
    K = pandas.DataFrame(np.eye(8) + 0.2, index=names, columns=names)
    post = me.sample("y ~ x + known(1 | g, K)", table(), seed=1, **QUICK)
    assert K.shape == (8, 8)
    assert post.ranef()["level"].tolist() == names


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"chains": 0}, ModelError, "chains=0"),
        ({"chains": 2.0}, ModelError, "chains=2.0"),
        ({"chains": True}, ModelError, "chains=True"),
        ({"draws": 0}, ModelError, "draws=0"),
        ({"draws": 19}, ModelError, "at least 20"),
        ({"tune": 0}, ModelError, "tunes itself"),
        ({"seed": -1}, ModelError, "seed=-1"),
        ({"seed": "one"}, ModelError, "seed='one'"),
        ({"seed": 2**64}, ModelError, "more than 64 bits"),
        ({"priors": [me.priors.Normal(0, 1)]}, ModelError, "takes a dict"),
        ({"priors": {"z": me.priors.Normal(0, 1)}}, ModelError, "no parameter 'z'"),
        ({"priors": {"x": 1.0}}, ModelError, "object of me.priors"),
        ({"priors": {"x": me.priors.HalfNormal(1)}}, ModelError, "is no prior of 'x'"),
        ({"priors": {"x": me.priors.Flat()}, "prior_only": True}, ModelError, "Flat"),
        ({"prior_only": 2}, ModelError, "prior_only=2"),
        ({"progress": "yes"}, ModelError, "progress='yes'"),
        ({"on_check": "shout"}, ModelError, "on_check="),
        ({"missing": "keep"}, ModelError, "missing="),
        ({"family": "normalish"}, ModelError, "Unknown family"),
        ({"dispersion": "x"}, FormulaError, "without a left side"),
        ({"family": "poisson", "dispersion": "~ x"}, ModelError, "no dispersion"),
        ({"dispersion": "~ x", "weights": "w"}, ModelError, "weights="),
        ({"dispersion": "~ 0"}, ModelError, "can be fitted but not sampled"),
        ({"weights": "nothing"}, ColumnNotFoundError, "nothing"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        me.sample("y ~ x + (1 | g)", table(), **options)


def test_bad_formulas_and_data():
    with pytest.raises(FormulaError, match="no random term"):
        me.sample("y ~ x", table())
    with pytest.raises(ColumnNotFoundError, match="'z'"):
        me.sample("y ~ z + (1 | g)", table())
    with pytest.raises(DataError):
        me.sample("y ~ x + (1 | g)", {name: values[:0] for name, values in table().items()})
    holes = table()
    holes["x"][3] = np.nan
    with pytest.raises(MissingValueError, match="'x'"):
        me.sample("y ~ x + (1 | g)", holes, missing="error")
    post = me.sample("y ~ x + (1 | g)", holes, seed=1, **QUICK)
    assert post.nobs == 47
    assert "1 row left out for missing values: x 1" in str(post.summary())


def test_a_bar_is_for_terminals_only(monkeypatch):
    """Without a terminal nobody is told; a function is told as it stands."""
    settings = sampling.Settings(2, 30, 50, 1)
    monkeypatch.setattr(sampling.sys.stderr, "isatty", lambda: False, raising=False)
    with sampling._told(None, settings) as tell:
        assert tell is None
    with sampling._told(False, settings) as tell:
        assert tell is None
    seen = []
    with sampling._told(lambda made, total: seen.append((made, total)), settings) as tell:
        tell(5)
    assert seen == [(5, 160)]
