"""Priors against scipy's distributions, and what they refuse."""

import pickle

import numpy as np
import pytest
from scipy import integrate, special, stats

import mixedeffects as me
from mixedeffects.bayes.independent import Independent, PositiveIndependent
from mixedeffects.bayes.prior_base import AbstractPositivePrior
from mixedeffects.bayes.priors import (
    LKJ,
    AbstractPrior,
    Exponential,
    Flat,
    Gamma,
    HalfNormal,
    HalfStudentT,
    Laplace,
    Normal,
    StudentT,
)

REAL = [
    (Normal(1.5, 2.0), stats.norm(1.5, 2.0)),
    (StudentT(3, -1.0, 2.5), stats.t(3, -1.0, 2.5)),
    (Laplace(0.5, 1.5), stats.laplace(0.5, 1.5)),
]
POSITIVE = [
    (HalfNormal(3.0), stats.halfnorm(scale=3.0)),
    (Exponential(0.4), stats.expon(scale=2.5)),
    (Gamma(2.5, 0.7), stats.gamma(2.5, scale=1 / 0.7)),
    (Gamma(0.5, 2.0), stats.gamma(0.5, scale=0.5)),
]
ALL = REAL + POSITIVE
NAMES = [str(prior) for prior, _ in ALL]
# Differences of step 1e-6 have about 1e-10 of rounding and truncation at these sizes.
CLOSE = 1e-7
# Draws are those of fixed seeds: 1 of 1000 of right distributions would fail, a wrong one does.
RARE = 1e-3


def points(prior: AbstractPrior) -> np.ndarray:
    x = np.array([0.03, 0.4, 1.1, 2.9, 11.0])
    return x if prior.support == "positive" else np.concatenate([-x, x])


@pytest.mark.parametrize(("prior", "known"), ALL, ids=NAMES)
def test_density_is_scipys(prior: AbstractPrior, known: stats.rv_continuous) -> None:
    x = points(prior)
    np.testing.assert_allclose(prior.log_density(x), known.logpdf(x), rtol=1e-12, atol=1e-13)
    assert prior.log_density(1.0) == pytest.approx(known.logpdf(1.0), rel=1e-12)


@pytest.mark.parametrize("df", [1.0, 3.0, 7.5])
def test_half_student_t_is_a_folded_t(df: float) -> None:
    x = points(HalfStudentT(df, 2.0))
    folded = np.log(2.0) + stats.t(df, 0.0, 2.0).logpdf(x)
    np.testing.assert_allclose(HalfStudentT(df, 2.0).log_density(x), folded, rtol=1e-12)


@pytest.mark.parametrize("prior", [*(p for p, _ in ALL), HalfStudentT(3, 2.0)], ids=str)
def test_gradient_is_the_densitys(prior: AbstractPrior) -> None:
    x, step = points(prior), 1e-6
    differences = (prior.log_density(x + step) - prior.log_density(x - step)) / (2 * step)
    np.testing.assert_allclose(prior.gradient(x), differences, rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("prior", [p for p, _ in POSITIVE], ids=str)
def test_there_is_no_density_below_zero(prior: AbstractPrior) -> None:
    assert prior.log_density(-0.1) == -np.inf


def test_density_at_zero() -> None:
    assert Exponential(2.0).log_density(0.0) == pytest.approx(np.log(2.0))
    assert Gamma(1.0, 2.0).log_density(0.0) == pytest.approx(np.log(2.0))
    assert Gamma(2.0, 2.0).log_density(0.0) == -np.inf


@pytest.mark.parametrize(("prior", "known"), ALL, ids=NAMES)
def test_draws_have_the_distribution(prior: AbstractPrior, known: stats.rv_continuous) -> None:
    drawn = prior.draw(np.random.default_rng(1), 4000)
    assert stats.kstest(drawn, known.cdf).pvalue > RARE


def test_draws_of_half_student_t() -> None:
    drawn = HalfStudentT(3, 2.0).draw(np.random.default_rng(2), 4000)
    assert stats.kstest(drawn, lambda x: 2.0 * stats.t(3, 0, 2.0).cdf(x) - 1.0).pvalue > RARE


@pytest.mark.parametrize("prior", [*(p for p, _ in ALL), LKJ(2.0), Flat()], ids=str)
def test_priors_are_values(prior: AbstractPrior) -> None:
    assert pickle.loads(pickle.dumps(prior)) == prior
    assert hash(pickle.loads(pickle.dumps(prior))) == hash(prior)


def test_priors_as_text() -> None:
    shown = [str(p) for p in (Normal(0, 2.5), HalfStudentT(3, 56.1666), LKJ(1), Flat())]
    assert shown == ["Normal(0, 2.5)", "HalfStudentT(3, 56.17)", "LKJ(1)", "Flat()"]


def test_public_names() -> None:
    assert me.priors.Normal is Normal
    assert {
        *("Normal", "StudentT", "Laplace", "HalfNormal", "HalfStudentT", "Exponential"),
        *("Gamma", "LKJ", "Flat"),
    } < set(me.priors.__all__)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normal(0, 0), "sd must be positive"),
        (lambda: Normal(0, -1), r"Normal\(sd=-1\): sd must be positive"),
        (lambda: StudentT(0, 0, 1), "df must be positive"),
        (lambda: HalfStudentT(3, float("inf")), "scale must be a finite number"),
        (lambda: Gamma("a", 1), "shape must be a finite number"),
        (lambda: Exponential(float("nan")), "rate must be a finite number"),
        (lambda: LKJ(-1), "eta must be positive"),
        (lambda: Normal(True, 1), "mean must be a finite number"),
        (lambda: Normal(np.array([0.0, 1.0]), 1), "mean must be a finite number"),
    ],
)
def test_impossible_parameters(make, message: str) -> None:
    with pytest.raises(me.errors.ModelError, match=message):
        make()


def test_nothing_is_drawn_from_flat() -> None:
    with pytest.raises(me.errors.ModelError, match="no distribution"):
        Flat().draw(np.random.default_rng(1))


# -- the LKJ distribution ------------------------------------------------------------------


def correlation(r: float) -> np.ndarray:
    return np.array([[1.0, r], [r, 1.0]])


@pytest.mark.parametrize("eta", [0.6, 1.0, 3.5])
def test_lkj_of_two_is_a_beta(eta: float) -> None:
    for r in (-0.9, 0.0, 0.37):
        known = stats.beta(eta, eta, loc=-1, scale=2).logpdf(r)
        assert LKJ(eta).log_density(correlation(r)) == pytest.approx(known, rel=1e-12)


@pytest.mark.parametrize("k", [2, 3, 4, 6])
def test_lkj_constant_is_the_volume_of_correlation_matrices(k: int) -> None:
    # Joe (2006), J. Multivariate Analysis 97, theorem 4: the volume for eta = 1
    log_volume = sum(
        m * m * np.log(2.0) + m * special.betaln((m + 1) / 2, (m + 1) / 2) for m in range(1, k)
    )
    # of which 2^(sum m²) is 2^(sum m(2a − 1)) with a = (m + 1)/2
    assert LKJ(1).log_density(np.eye(k)) == pytest.approx(-log_volume, rel=1e-12)


def test_lkj_integrates_to_one() -> None:
    def density(c: float, b: float, a: float) -> float:
        matrix = np.array([[1, a, b], [a, 1, c], [b, c, 1.0]])
        return float(np.exp(LKJ(2.5).log_density(matrix)))

    def ends(b: float, a: float) -> tuple[float, float]:
        half = np.sqrt((1 - a * a) * (1 - b * b))
        return a * b - half, a * b + half

    total = integrate.tplquad(
        density, -1, 1, -1, 1, lambda a, b: ends(b, a)[0], lambda a, b: ends(b, a)[1], epsabs=1e-4
    )[0]
    assert total == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(("k", "eta"), [(2, 1.0), (4, 1.0), (4, 2.5), (3, 0.7)])
def test_lkj_correlations_have_beta_marginals(k: int, eta: float) -> None:
    rng = np.random.default_rng(4)
    drawn = np.array([LKJ(eta).draw(rng, k) for _ in range(2000)])
    np.testing.assert_allclose(drawn, drawn.transpose(0, 2, 1))
    np.testing.assert_allclose(np.diagonal(drawn, axis1=1, axis2=2), 1.0)
    shape = eta + k / 2 - 1
    marginal = stats.beta(shape, shape, loc=-1, scale=2)
    for i, j in zip(*np.tril_indices(k, -1), strict=True):
        assert stats.kstest(drawn[:, i, j], marginal.cdf).pvalue > RARE


def test_lkj_gradient() -> None:
    matrix = np.array([[1, 0.3, -0.2], [0.3, 1, 0.5], [-0.2, 0.5, 1.0]])
    prior, step = LKJ(2.5), 1e-6
    for i, j in ((1, 0), (2, 0), (2, 1)):
        move = np.zeros((3, 3))
        move[i, j] = move[j, i] = step
        difference = prior.log_density(matrix + move) - prior.log_density(matrix - move)
        assert prior.gradient(matrix)[i, j] == pytest.approx(difference / (2 * step), rel=CLOSE)


def test_lkj_outside() -> None:
    impossible = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1.0]])
    assert LKJ(2).log_density(impossible) == -np.inf
    assert LKJ(2).log_density(correlation(1.0)) == -np.inf


# -- many at once --------------------------------------------------------------------------


def test_independent_priors_add_up() -> None:
    priors = [Normal(0, 1), StudentT(3, 1, 2), Normal(4, 5), Flat(), Laplace(0, 2)]
    x = np.array([0.3, -1.0, 2.0, 7.0, -0.4])
    value, gradient = Independent(priors).log_density(x)
    parts = [p.log_density(v) for p, v in zip(priors, x, strict=True)]
    assert value == pytest.approx(sum(parts), rel=1e-13)
    slopes = [p.gradient(v) for p, v in zip(priors, x, strict=True)]
    np.testing.assert_allclose(gradient, slopes, rtol=1e-13)


def test_positive_priors_of_logarithms() -> None:
    priors = [HalfNormal(2), HalfStudentT(3, 1.5), Exponential(0.3), Gamma(2, 0.5), Flat()]
    x = np.array([-1.0, 0.2, 1.0, 0.5, 0.3])
    together = PositiveIndependent(priors)
    value, gradient = together.log_density_of_logs(x)
    parts = [p.log_density(np.exp(v)) + v for p, v in zip(priors, x, strict=True)]
    assert value == pytest.approx(sum(parts), rel=1e-13)
    for i in range(5):
        move = np.zeros(5)
        move[i] = 1e-6
        ends = [together.log_density_of_logs(x + sign * move)[0] for sign in (1, -1)]
        assert gradient[i] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=CLOSE, abs=CLOSE)


def test_nothing_overflows_far_out() -> None:
    priors: list[AbstractPositivePrior] = [HalfNormal(1e-3), HalfStudentT(3, 1e3), Gamma(2, 1)]
    for end in (-800.0, 800.0):
        value, gradient = PositiveIndependent(priors).log_density_of_logs(np.full(3, end))
        assert value < -700.0
        assert np.isfinite(gradient).all()


def test_independent_draws() -> None:
    rng = np.random.default_rng(5)
    together = Independent([Normal(0, 1), Exponential(2), Normal(10, 3)])
    drawn = np.array([together.draw(rng) for _ in range(3000)])
    known = [stats.norm(0, 1), stats.expon(scale=0.5), stats.norm(10, 3)]
    for column, one in zip(drawn.T, known, strict=True):
        assert stats.kstest(column, one.cdf).pvalue > RARE
