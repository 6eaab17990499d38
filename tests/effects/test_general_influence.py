"""Influence of groups and rows on generalized fits, against fits without them."""

from __future__ import annotations

import numpy as np
import pytest

import golden
import mixedeffects as me
from mixedeffects.errors import DataError

# One of each kind: trials, two predictors with terms, thresholds, a dispersion, an offset, nodes.
GROUPS = {
    "cbpp_logit_laplace": "herd",
    "salamanders_zip_zire": "site",
    "wine_clmm_logit": "judge",
    "sim_gamma_log": "g",
    "owls_nbinom1_offset": "Nest",
}


def fitted(case, data, **options):
    return me.fit(
        case.formula,
        data,
        family=case.family,
        offset=case.offset,
        on_check="ignore",
        **case.others,
        **options,
    )


@pytest.mark.parametrize("id_", GROUPS)
def test_groups_against_fits_without_them(id_):
    case, group = golden.load_case(id_), GROUPS[id_]
    fit = fitted(case, case.data)
    found = fit.influence(group)
    assert found.refitted
    assert found.reasons == (None,) * len(found.levels)
    for place in (0, len(found.levels) // 2):
        rest = case.data[case.data[group].astype(str) != str(found.levels[place])]
        other = fitted(case, rest)
        se = np.sqrt(np.diagonal(other.vcov()))
        np.testing.assert_allclose(
            found.dfbeta[place] / se, (fit.beta - other.beta) / se, atol=1e-4
        )
        np.testing.assert_allclose(found.dfbetas[place], found.dfbeta[place] / se, rtol=1e-3)
        np.testing.assert_allclose(found.theta[place], other.theta, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found.sigma[place], other.sigma, rtol=1e-3)
        deviations = other.varcorr()["sd_or_corr"].to_numpy()
        np.testing.assert_allclose(
            found.deviations[place], deviations[: found.deviations.shape[1]], rtol=1e-3
        )


def test_measures_are_those_of_their_definitions():
    case = golden.load_case("cbpp_logit_laplace")
    fit = fitted(case, case.data)
    found = fit.influence("herd")
    inverse = np.linalg.inv(fit.vcov())
    expected = np.einsum("di,ij,dj->d", found.dfbeta, inverse, found.dfbeta) / len(fit.beta)
    np.testing.assert_allclose(found.cooks_distance, expected)
    assert list(found.largest(2).levels) == ["11", "1"]
    assert {"level", "cooks_distance", "sd(Intercept | herd)"} <= set(found.table.columns)


def test_rows():
    case = golden.load_case("cbpp_logit_laplace")
    data = case.data.iloc[:24]
    found = fitted(case, data).influence()
    other = fitted(case, data.drop(index=data.index[5]))
    without = fitted(case, data).beta - found.dfbeta[5]
    np.testing.assert_allclose(without, other.beta, atol=1e-4)
    assert len(found.levels) == 24


def test_with_quadrature():
    case = golden.load_case("cbpp_logit_laplace")
    found = fitted(case, case.data, quadrature=5).influence("herd")
    other = fitted(case, case.data[case.data["herd"] != found.levels[0]], quadrature=5)
    without = fitted(case, case.data, quadrature=5).beta - found.dfbeta[0]
    np.testing.assert_allclose(without, other.beta, atol=1e-4)


def test_what_only_a_group_informs():
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(8), 6).astype(str)
    data = {"y": rng.poisson(3.0, 48).astype(float), "g": g, "f": np.where(g == "3", "b", "a")}
    fit = me.fit("y ~ f + (1 | g)", data, family="poisson", on_check="ignore")
    found = fit.influence("g")
    lost = [reason for reason in found.reasons if reason is not None]
    assert lost == ["Without it 'f[T.b]' cannot be estimated."]
    assert np.isnan(found.dfbeta[list(found.levels).index("3")]).all()


def test_a_category_that_only_a_group_has():
    rng = np.random.default_rng(6)
    g = np.repeat(np.arange(10), 8).astype(str)
    y = np.array(["1", "2"])[(rng.random(80) < 0.5).astype(int)].astype(object)
    y[:3] = "3"
    fit = me.fit("y ~ 1 + (1 | g)", {"y": y.tolist(), "g": g}, family="cumulative")
    reasons = fit.influence("g").reasons
    assert reasons[0] == "Without it a category of the response has no rows."


def test_unknown_groups_are_refused():
    case = golden.load_case("cbpp_logit_laplace")
    with pytest.raises(DataError, match="does not group the rows"):
        fitted(case, case.data).influence("farm")
