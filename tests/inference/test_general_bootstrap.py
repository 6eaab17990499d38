"""The parametric bootstrap of generalized fits."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import golden
import mixedeffects as me
from mixedeffects.errors import ConvergenceWarning, ModelError
from mixedeffects.inference.parameters import general_values, natural_parameters, natural_value


def fitted(id_):
    case = golden.load_case(id_)
    return me.fit(case.formula, case.data, family=case.family, offset=case.offset, **case.others)


@pytest.fixture(scope="module")
def cbpp():
    return fitted("cbpp_logit_laplace")


@pytest.fixture(scope="module")
def drawn(cbpp):
    return cbpp.bootstrap(60, seed=1, threads=1)


@pytest.mark.parametrize("id_", ["salamanders_zip_zire", "wine_clmm_logit", "sim_gamma_log"])
def test_natural_parameters_by_psi(id_):
    fit = fitted(id_)._fit
    known = natural_parameters(fit)
    got = general_values(fit.problem, known, fit.solution.optimum.theta)
    np.testing.assert_allclose(got, [natural_value(fit, p) for p in known], rtol=1e-10)


def test_the_same_for_any_number_of_threads(cbpp, drawn):
    again = cbpp.bootstrap(60, seed=1, threads=3)
    np.testing.assert_array_equal(again.values, drawn.values)
    other = cbpp.bootstrap(5, seed=2)
    assert not np.allclose(other.values, drawn.values[:5])


def test_replicates_are_refits_of_simulated_responses(cbpp, drawn):
    """What a statistic of complete refits sees is what the short way finds."""
    by_fits = cbpp.bootstrap(6, seed=1, statistic=lambda fit: dict(enumerate(fit.beta)))
    np.testing.assert_allclose(by_fits.values, drawn.values[:6, :4], atol=1e-6)
    assert drawn.names == tuple(p.name for p in natural_parameters(cbpp._fit))
    np.testing.assert_allclose(drawn.estimate[:4], cbpp.beta)


def test_spread_is_about_that_of_the_curvature(cbpp, drawn):
    """Standard errors of 60 replicates have a relative error of 9%; herds are only 15."""
    table = drawn.table.set_index("term")["std_error"]
    expected = cbpp.fixef().set_index("term")["std_error"]
    np.testing.assert_allclose(table[expected.index], expected, rtol=0.35)


def test_intervals(cbpp):
    table = cbpp.confint(method="bootstrap", n=60, seed=1, level=0.9)
    drawn = cbpp.bootstrap(60, seed=1)
    limits = drawn.limits(0.9)
    np.testing.assert_allclose(table[["conf_low", "conf_high"]], limits)


def test_conditional_draws_keep_the_modes():
    """With herds as they are, their spread varies much less."""
    fit = fitted("grouseticks_poisson_laplace")
    kept = fit.bootstrap(8, seed=3, random="conditional")
    drawn = fit.bootstrap(8, seed=3)
    place = kept.names.index("sd(Intercept | LOCATION)")
    assert kept.values[:, place].std() < drawn.values[:, place].std()


def rare_category():
    rng = np.random.default_rng(4)
    y = np.array(["a", "b"])[(rng.random(80) < 0.5).astype(int)].astype(object)
    y[:2] = "c"
    return {"y": y.tolist(), "g": np.tile(np.arange(8), 10).astype(str)}


def test_failures_are_seen():
    """A simulated response without the rare category cannot tell its threshold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = me.fit("y ~ 1 + (1 | g)", rare_category(), family="cumulative")
    with pytest.warns(ConvergenceWarning, match="failed"):
        drawn = fit.bootstrap(40, seed=1)
    assert 0 < drawn.n_failed < 40
    assert any("categories" in reason for reason in drawn.reasons.values())
    assert drawn.counts.max() == 40 - drawn.n_failed


@pytest.mark.parametrize("method", ["residual", "cases"])
def test_other_methods_are_refused(cbpp, method):
    with pytest.raises(ModelError, match="parametric"):
        cbpp.bootstrap(5, method=method)


def test_weighted_rows_are_refused():
    case = golden.load_case("salamanders_poisson")
    data = case.data.assign(w=np.resize([1.0, 2.0], len(case.data)))
    fit = me.fit("count ~ mined + (1 | site)", data, family="poisson", weights="w")
    with pytest.raises(ModelError, match="weights"):
        fit.bootstrap(5)


def test_limits_of_a_family_count():
    """Replicates of Poisson counts whose dispersion has no end are fits as good as others."""
    rng = np.random.default_rng(3)
    data = {"y": rng.poisson(3.0, 120).astype(float), "g": np.repeat(np.arange(12), 10).astype(str)}
    fit = me.fit("y ~ 1 + (1 | g)", data, family="nbinom2", on_check="ignore")
    drawn = fit.bootstrap(20, seed=1)
    assert drawn.n_failed == 0
    assert drawn.values[:, drawn.names.index("sigma")].max() > 1e3


def test_the_same_replicates_fail_as_complete_fits():
    fit = fitted("salamanders_zinb2")
    with pytest.warns(ConvergenceWarning, match="no finite estimates"):
        short = fit.bootstrap(12, seed=1)
    with pytest.warns(ConvergenceWarning, match="no finite estimates"):
        whole = fit.bootstrap(12, seed=1, statistic=lambda other: other.beta)
    assert list(short.reasons) == list(whole.reasons)
