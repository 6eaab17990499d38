"""Diagnostics of draws: the same numbers as ArviZ's, for many parameters at once."""

from __future__ import annotations

import numpy as np
import pytest

from mixedeffects.bayes import diagnostics
from mixedeffects.bayes.libraries import arviz


def chains_of(count: int, length: int, seed: int = 0) -> np.ndarray:
    """Autoregressive chains of 24 parameters, from antithetic to hardly moving; some special."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, length, 24))
    rho = np.linspace(-0.9, 0.99, 24)
    for t in range(1, length):
        x[:, t] += rho * x[:, t - 1]
    x[..., 3] = np.round(x[..., 3])  # ties
    x[..., 4] += 0.7 * np.arange(count)[:, None]  # chains that disagree
    x[..., 5] = 1.5  # nothing moves
    return x


# The same arithmetic in another order; quantiles of few draws may fall on either of two ties.
@pytest.mark.parametrize(("count", "length"), [(4, 500), (2, 57), (4, 8)])
@pytest.mark.parametrize(
    ("ours", "method"),
    [
        (diagnostics.r_hat, ("rhat", "rank")),
        (diagnostics.plain_r_hat, ("rhat", "split")),
        (diagnostics.ess_bulk, ("ess", "bulk")),
        (diagnostics.ess_tail, ("ess", "tail")),
        (diagnostics.ess_mean, ("ess", "mean")),
    ],
)
def test_as_arviz(ours, method, count, length):
    draws = chains_of(count, length)
    function, kind = getattr(arviz(), method[0]), method[1]
    with np.errstate(invalid="ignore"):  # of what does not move
        expected = [float(function(draws[..., i], method=kind)) for i in range(draws.shape[2])]
    np.testing.assert_allclose(ours(draws), expected, rtol=1e-9)


def test_a_single_chain_is_split():
    draws = chains_of(1, 400)
    halves = np.concatenate([draws[:, :200], draws[:, 200:]])
    np.testing.assert_allclose(
        diagnostics.plain_r_hat(draws)[:3],
        [float(arviz().rhat(halves[..., i], method="identity")) for i in range(3)],
    )


def test_draws_that_are_not_finite_have_no_diagnostics():
    draws = chains_of(2, 50)
    draws[0, 3, 2] = np.nan
    for function in (diagnostics.r_hat, diagnostics.ess_bulk, diagnostics.ess_tail):
        found = function(draws)
        assert np.isnan(found[2])
        assert np.isfinite(found[0])


def test_bfmi_as_arviz():
    energy = np.cumsum(np.random.default_rng(1).standard_normal((3, 200)), axis=1)
    np.testing.assert_allclose(diagnostics.bfmi(energy), arviz().bfmi(energy))
