"""How well chains agree and how much their draws tell, for many parameters at once.

Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), Bayesian Analysis 16, 667-718. The same
numbers as ArviZ's (rank-normalized split R-hat; bulk and tail effective sample sizes), without
its loop over the parameters: thousands of random effects take no time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Quantiles of which the tail's effective size is the smaller.
TAILS = (0.05, 0.95)


def r_hat(draws: Floats) -> Floats:
    """Rank-normalized split R-hat (...) of draws (C, S, ...): the larger of bulk and folded.

    NaN for parameters that do not vary, or where a draw is not finite.
    """
    halves = split(draws)
    folded = np.abs(halves - np.median(halves, axis=(0, 1)))
    found = np.fmax(_r_hat(normal_ranks(halves)), _r_hat(normal_ranks(folded)))
    return _defined(draws, found)


def plain_r_hat(draws: Floats) -> Floats:
    """Split R-hat (...) of draws (C, S, ...) by their moments, without ranks."""
    return _defined(draws, _r_hat(split(draws)))


def ess_bulk(draws: Floats) -> Floats:
    """Effective size (...) of draws (C, S, ...) for the centre of the distribution."""
    return _defined(draws, _ess(normal_ranks(split(draws))))


def ess_tail(draws: Floats) -> Floats:
    """Effective size (...) of draws (C, S, ...) for the 5% and 95% quantiles, the smaller."""
    quantiles = np.quantile(draws, TAILS, axis=(0, 1))
    sizes = [_ess(split((draws <= q).astype(float))) for q in quantiles]
    return _defined(draws, np.fmin(*sizes))


def ess_mean(draws: Floats) -> Floats:
    """Effective size (...) of draws (C, S, ...) for the mean."""
    return _defined(draws, _ess(split(draws)))


def split(draws: Floats) -> Floats:
    """Halves of chains (C, S, ...) as chains of their own, (2C, S // 2, ...)."""
    half = draws.shape[1] // 2
    halves: Floats = np.concatenate([draws[:, :half], draws[:, draws.shape[1] - half :]])
    return halves


def normal_ranks(chains: Floats) -> Floats:
    """Normal scores (C, S, ...) of the draws' ranks among those of all chains (Blom 1958)."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    flat = chains.reshape(-1, *chains.shape[2:])
    ranks = rankdata(flat, method="average", axis=0)
    scores: Floats = ndtri((ranks - 0.375) / (len(flat) + 0.25)).reshape(chains.shape)
    return scores


def _r_hat(chains: Floats) -> Floats:
    length = chains.shape[1]
    between = length * chains.mean(axis=1).var(axis=0, ddof=1)
    within = chains.var(axis=1, ddof=1).mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.sqrt((between / within + length - 1.0) / length))


def _ess(chains: Floats) -> Floats:
    """Effective size (...) of chains (C, S, ...), Geyer's (1992) initial monotone sequence."""
    count, length = chains.shape[:2]
    covariance = _autocovariance(chains)
    within = covariance[:, 0].mean(axis=0) * length / (length - 1.0)
    spread = within * (length - 1.0) / length
    if count > 1:
        spread = spread + chains.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = 1.0 - (within - covariance.mean(axis=0)) / spread
    rho[0] = 1.0
    total = count * length
    with np.errstate(divide="ignore", invalid="ignore"):
        sizes = total / np.maximum(_correlation_time(rho), 1.0 / np.log10(total))
    return np.asarray(np.where(np.isfinite(spread) & (spread > 0.0), sizes, total))


def _correlation_time(rho: Floats) -> Floats:
    """−1 + 2 Σ of pairs of autocorrelations (S, ...), as long as positive and not growing."""
    pairs = (len(rho) - 1) // 2
    sums = rho[: 2 * pairs : 2] + rho[1 : 2 * pairs : 2]
    kept = np.cumprod(sums > 0.0, axis=0).astype(bool)
    kept[-1:] = False
    limited = np.minimum.accumulate(sums, axis=0)
    total = np.where(kept, limited, 0.0).sum(axis=0)
    # of the pair after these the even lag counts once, if it is positive (as in Stan and ArviZ)
    last = np.take_along_axis(rho, 2 * kept.sum(axis=0)[None], axis=0)[0]
    return np.asarray(-1.0 + 2.0 * total + np.maximum(last, 0.0))


def _autocovariance(chains: Floats) -> Floats:
    """Autocovariances (C, S, ...) along the chains."""
    from scipy.fft import irfft, next_fast_len, rfft

    length = chains.shape[1]
    centred = chains - chains.mean(axis=1, keepdims=True)
    size = next_fast_len(2 * length)
    spectrum = rfft(centred, size, axis=1)
    products: Floats = irfft(spectrum * np.conjugate(spectrum), size, axis=1)[:, :length]
    products /= length
    return products


def _defined(draws: Floats, values: Floats) -> Floats:
    """NaN where a draw is not finite."""
    return np.asarray(np.where(np.isfinite(draws).all(axis=(0, 1)), values, np.nan))


def bfmi(energy: Floats) -> Floats:
    """Bayesian fraction of missing information (C,) of energies (C, S) (Betancourt 2016)."""
    steps = np.square(np.diff(energy, axis=1)).mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(steps / energy.var(axis=1, ddof=1))
