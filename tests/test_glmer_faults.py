"""What glmer maximizes for families with a dispersion, held to the integral itself.

The numbers of ``docs/from-lme4.md``. Those of glmer are lme4 1.1-31's, as the reference cases
``sleepstudy_*_log`` hold them under ``lme4_glmer_informational``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import logsumexp

import mixedeffects as me
from golden import load_case
from mixedeffects.families import AbstractFamily, Gamma, Gaussian, InverseGaussian

FORMULA = "Reaction ~ Days + (1 | Subject)"
# By case: the family, and δ in multiples of log(sigma).
CASES: dict[str, tuple[AbstractFamily, float]] = {
    "sleepstudy_gamma_log": (Gamma(), -2.0),
    "sleepstudy_invgauss_log": (InverseGaussian(), 2.0),
    "sleepstudy_gaussian_log": (Gaussian(link="log"), 2.0),
}


@dataclass(frozen=True)
class Point:
    beta: list[float]
    sd: float
    sigma: float


def integrated(family: AbstractFamily, point: Point, delta: float) -> float:
    """The log-likelihood, each subject's effect integrated out on a grid."""
    data = me.datasets.load("sleepstudy")
    response = family.response(data["Reaction"].to_numpy())
    eta = point.beta[0] + point.beta[1] * data["Days"].to_numpy(float)
    # 2001 nodes over ±8 standard deviations: a trapezoid rule of a smooth peak, exact to 1e-10
    z = np.linspace(-8.0, 8.0, 2001)
    deltas = np.full(len(eta), delta)
    rows = np.stack([family.log_density(response, (eta + point.sd * b, deltas)) for b in z], axis=1)
    log_weights = -0.5 * z**2 - 0.5 * np.log(2.0 * np.pi) + np.log(z[1] - z[0])
    _, codes = np.unique(data["Subject"].astype(str), return_inverse=True)
    per_subject = np.zeros((codes.max() + 1, len(z)))
    np.add.at(per_subject, codes, rows)
    return float(logsumexp(per_subject + log_weights, axis=1).sum())


@pytest.mark.parametrize("case", CASES)
def test_glmer_reports_and_maximizes_something_else(case):
    family, power = CASES[case]
    fit = me.fit(FORMULA, me.datasets.load("sleepstudy"), family=family)
    told = load_case(case).results["lme4_glmer_informational"]
    ours = Point(fit.beta.tolist(), fit.varcorr()["sd_or_corr"][0], fit.sigma)
    theirs = Point([*told["fixef"].values()], told["sd"][0], told["sigma"])
    here, there = (integrated(family, p, power * np.log(p.sigma)) for p in (ours, theirs))
    assert fit.loglik == pytest.approx(here, abs=0.02)  # the error of Laplace's approximation
    assert here - there > 5.0
    assert abs(told["loglik"] - there) > 0.99
    assert theirs.sd < 0.65 * ours.sd
