"""How well a model predicts rows that it has not seen: leave-one-out, and WAIC.

Vehtari, Gelman and Gabry (2017), Statistics and Computing 27, 1413-1432; Vehtari, Simpson,
Gelman, Yao and Gabry (2024), JMLR 25(72) for the smoothed weights and for the limit of k̂.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.checks import WATCHED
from mixedeffects.bayes.diagnostics import ess_mean
from mixedeffects.bayes.libraries import arviz
from mixedeffects.bayes.log_likelihood import log_likelihoods
from mixedeffects.bayes.quantities import named_draws
from mixedeffects.bayes.sampled import Sampled
from mixedeffects.data.frames import FrameKind, make_table

Floats = NDArray[np.float64]

# Of a row's log-likelihood: a larger variance over the draws, and WAIC is not to be trusted.
MOST_VARIANCE = 0.4


@dataclass(frozen=True, slots=True)
class PredictiveAccuracy:
    """Expected log predictive density for new rows of the groups at hand.

    Attributes
    ----------
    method : {"loo", "waic"}
    elpd, std_error : float
        The sum over the rows, and its standard error.
    p : float
        Effective number of parameters.
    pointwise : ndarray, shape (n,)
        Each row's share of elpd.
    diagnostic : ndarray, shape (n,)
        Pareto k̂ of each row; for WAIC the variance of its log-likelihood.
    limit : float
        Of the diagnostic: what lies above is not to be trusted.
    rows : ndarray, shape (n,)
        Labels of the rows used.
    """

    method: Literal["loo", "waic"]
    elpd: float
    std_error: float
    p: float
    pointwise: Floats = field(repr=False)
    diagnostic: Floats = field(repr=False)
    limit: float
    rows: NDArray[Any] = field(repr=False)
    frame: FrameKind = field(repr=False)

    @property
    def ic(self) -> float:
        """−2 elpd, on the scale of a deviance."""
        return -2.0 * self.elpd

    @property
    def table(self) -> Any:
        """Columns ``statistic estimate std_error``: elpd, p and ic (−2 elpd)."""
        name = self.method
        p_error = np.nan
        return make_table(
            {
                "statistic": [f"elpd_{name}", f"p_{name}", f"{name}_ic"],
                "estimate": [self.elpd, self.p, self.ic],
                "std_error": [self.std_error, p_error, 2.0 * self.std_error],
            },
            self.frame,
        )

    @property
    def problems(self) -> Any:
        """Table of the rows above the limit, worst first: ``row elpd`` and the diagnostic."""
        bad = np.flatnonzero(self._bad)
        order = bad[np.argsort(-self.diagnostic[bad], kind="stable")]
        name = "pareto_k" if self.method == "loo" else "variance"
        columns = {
            "row": self.rows[order],
            "elpd": self.pointwise[order],
            name: self.diagnostic[order],
        }
        return make_table(columns, self.frame)

    @property
    def _bad(self) -> NDArray[np.bool_]:
        return ~(self.diagnostic <= self.limit)

    @property
    def note(self) -> str:
        """Whether the number is to be trusted, and what to do where not."""
        count = int(self._bad.sum())
        if self.method == "waic":
            if not count:
                return "No row's log-likelihood varies too much for WAIC."
            return (
                f"The log-likelihood of {count} of {len(self.rows)} rows has a variance above "
                f"{self.limit:g}, where WAIC is not to be trusted: use loo(). Rows: .problems"
            )
        if not count:
            return f"Pareto k is at most {self.limit:.2f} in all rows: elpd is to be trusted."
        return (
            f"Pareto k is above {self.limit:.2f} in {count} of {len(self.rows)} rows, whose share "
            "is not to be trusted. Rows that are a group's only ones, or outliers, do so: leave "
            "them out in turn and sample again, or try a family with heavier tails. Rows: .problems"
        )

    def __repr__(self) -> str:
        return (
            f"<{self.method.upper()}: elpd {self.elpd:.2f} ± {self.std_error:.2f}, "
            f"p {self.p:.2f}. {self.note}>"
        )


def loo(sampled: Sampled, rows: NDArray[Any]) -> PredictiveAccuracy:
    """Leave-one-out by Pareto-smoothed importance sampling; ``rows``, labels (nobs,)."""
    found = loo_of(log_likelihoods(sampled), relative_efficiency(sampled))
    size = sampled.size
    limit = min(1.0 - 1.0 / np.log10(size), 0.7)
    return _accuracy("loo", *found, float(limit), rows, sampled.design.frame)


def waic(sampled: Sampled, rows: NDArray[Any]) -> PredictiveAccuracy:
    """The widely applicable information criterion; ``rows``, labels (nobs,)."""
    found = waic_of(log_likelihoods(sampled))
    return _accuracy("waic", *found, MOST_VARIANCE, rows, sampled.design.frame)


def loo_of(blocks: Iterable[Floats], efficiency: float) -> tuple[Floats, Floats, Floats]:
    """Share of elpd, log predictive density and k̂ (n,) of log-likelihoods (N, rows)."""
    parts = []
    for values in blocks:
        along = np.ascontiguousarray(values.T)
        with np.errstate(invalid="ignore"):  # of rows that a draw makes impossible
            log_weights, k = arviz().psislw(-along, efficiency)
        parts.append((_log_sum(log_weights + along), _log_mean(along), k))
    share, density, k = (np.concatenate(column) for column in zip(*parts, strict=True))
    return share, density, k


def waic_of(blocks: Iterable[Floats]) -> tuple[Floats, Floats, Floats]:
    """Share of elpd, log predictive density and variance (n,) of log-likelihoods (N, rows)."""
    parts = [(_log_mean(values.T), values.var(axis=0)) for values in blocks]
    density, variance = (np.concatenate(column) for column in zip(*parts, strict=True))
    return density - variance, density, variance


def relative_efficiency(sampled: Sampled) -> float:
    """Mean effective share of the draws, over the parameters."""
    draws = np.stack([own for _, own in named_draws(sampled, WATCHED)], axis=-1)
    return float(np.nanmean(ess_mean(draws))) / sampled.size


def _accuracy(
    method: Literal["loo", "waic"],
    share: Floats,
    density: Floats,
    diagnostic: Floats,
    limit: float,
    rows: NDArray[Any],
    frame: FrameKind,
) -> PredictiveAccuracy:
    elpd = float(share.sum())
    error = float(np.sqrt(len(share) * share.var()))
    p = float(density.sum()) - elpd
    return PredictiveAccuracy(method, elpd, error, p, share, diagnostic, limit, rows, frame)


def compared(found: Sequence[PredictiveAccuracy]) -> dict[str, Any]:
    """Columns of a comparison by elpd: each with its distance from the best one's."""
    best = found[int(np.argmax([one.elpd for one in found]))]
    apart = [one.pointwise - best.pointwise for one in found]
    return {
        "elpd": [one.elpd for one in found],
        "std_error": [one.std_error for one in found],
        "elpd_diff": [float(d.sum()) for d in apart],
        "diff_std_error": [float(np.sqrt(len(d) * d.var())) for d in apart],
        "p_loo": [one.p for one in found],
        "looic": [one.ic for one in found],
        "n_high_k": [int((~(one.diagnostic <= one.limit)).sum()) for one in found],
    }


def _log_sum(values: Floats) -> Floats:
    from scipy.special import logsumexp

    return np.asarray(logsumexp(values, axis=1))


def _log_mean(values: Floats) -> Floats:
    return np.asarray(_log_sum(values) - np.log(values.shape[1]))
