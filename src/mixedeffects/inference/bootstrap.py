"""The bootstrap: what a fit's estimates would have been on data like those it saw."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from mixedeffects.data.frames import FrameKind, make_table
from mixedeffects.errors import MixedEffectsWarning, ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.fitting.replicates import Progress, fit_responses
from mixedeffects.inference.draws import Draws, Random, parametric_draws, residual_draws
from mixedeffects.inference.general_draws import GeneralDraws
from mixedeffects.inference.parameters import (
    AnyFit,
    Parameter,
    natural_parameters,
    natural_value,
)
from mixedeffects.inference.refits import (
    Statistic,
    each_general_refit,
    each_refit,
    each_resample,
)
from mixedeffects.inference.replicate_values import general_values_of, linear_values
from mixedeffects.inference.streams import Seed, Streams
from mixedeffects.inference.wald import check_level

Floats = NDArray[np.float64]
Method = Literal["parametric", "residual", "cases"]
Kind = Literal["percentile", "basic", "normal", "bias-corrected"]
Column = NDArray[Any] | Sequence[Any]
KINDS: tuple[Kind, ...] = ("percentile", "basic", "normal", "bias-corrected")


@dataclass(frozen=True, repr=False)
class Bootstrap:
    """Bootstrap replicates of estimates.

    Attributes
    ----------
    names : tuple of str
        Of the k quantities.
    estimate : ndarray, shape (k,)
        Those of the fit itself.
    values : ndarray, shape (n, k)
        One row a replicate, in order; NaN where a replicate has no such value: it could not be
        fitted, or a correlation belongs to a variance of zero.
    reasons : mapping of int to str
        Why a replicate failed, by its number from 0: these count in no summary.
    singular : float
        Share of singular fits among those that did not fail.
    method : {"parametric", "residual", "cases"}
    """

    names: tuple[str, ...]
    estimate: Floats
    values: Floats
    reasons: Mapping[int, str]
    singular: float
    method: Method
    frame: FrameKind = field(default=FrameKind())

    def __repr__(self) -> str:
        return (
            f"<Bootstrap ({self.method}): {len(self.values):,} replicates of {len(self.names)} "
            f"estimates, {self.n_failed} failed, {self.singular:.0%} singular>"
        )

    @property
    def n_failed(self) -> int:
        """How many replicates failed."""
        return len(self.reasons)

    @property
    def failed(self) -> Any:
        """Table ``replicate reason`` of the replicates that failed."""
        numbers, reasons = list(self.reasons), list(self.reasons.values())
        return make_table({"replicate": numbers, "reason": reasons}, self.frame)

    @property
    def estimates(self) -> Any:
        """Table of all replicates: ``replicate``, then one column a quantity."""
        columns: dict[str, Column] = {"replicate": np.arange(len(self.values))}
        columns.update(zip(self.names, self.values.T, strict=True))
        return make_table(columns, self.frame)

    @property
    def table(self) -> Any:
        """Table ``term estimate bias std_error conf_low conf_high replicates``.

        The limits are those of the 95% percentile interval; ``replicates`` counts those that
        have the quantity.
        """
        used, limits = self._used(), self._limits(0.95, "percentile")
        means = np.array([v.mean() if len(v) else np.nan for v in used])
        columns: dict[str, Column] = {
            "term": self.names,
            "estimate": self.estimate,
            "bias": means - self.estimate,
            "std_error": np.array([v.std(ddof=1) if len(v) > 1 else np.nan for v in used]),
            "conf_low": limits[:, 0],
            "conf_high": limits[:, 1],
            "replicates": self.counts,
        }
        return make_table(columns, self.frame)

    def confint(self, level: float = 0.95, kind: Kind = "percentile") -> Any:
        """Table ``term estimate conf_low conf_high replicates`` of intervals.

        Parameters
        ----------
        level
            Between 0 and 1.
        kind
            ``"percentile"``: quantiles of the replicates. ``"basic"``: the estimate less the
            quantiles of (replicate − estimate). ``"normal"``: estimate − bias ± z standard
            errors. ``"bias-corrected"``: quantiles moved by the share of replicates below the
            estimate (Efron 1981). Davison and Hinkley (1997), chapter 5.

        Raises
        ------
        ModelError
            If an option is not known, or the replicates are too few for the level.
        """
        limits = self.limits(level, kind)
        columns: dict[str, Column] = {
            "term": self.names,
            "estimate": self.estimate,
            "conf_low": limits[:, 0],
            "conf_high": limits[:, 1],
            "replicates": self.counts,
        }
        return make_table(columns, self.frame)

    def limits(self, level: float, kind: Kind = "percentile") -> Floats:
        """The same limits as an array (k, 2)."""
        check_level(level)
        if kind not in KINDS:
            raise ModelError(f"kind={kind!r} is not one of {', '.join(map(repr, KINDS))}.")
        least = int(np.ceil(2.0 / (1.0 - level) - 1e-9)) - 1
        worked = len(self.values) - self.n_failed
        if kind != "normal" and worked < least:
            raise ModelError(
                f"{worked} replicates are too few for limits of {level:.3g}: these lie beyond the "
                f"smallest and the largest. Draw at least {least}, better {10 * least}."
            )
        return self._limits(level, kind)

    def _limits(self, level: float, kind: Kind) -> Floats:
        tails = np.array([0.5 * (1.0 - level), 0.5 * (1.0 + level)])
        pairs = [
            _interval(values, estimate, tails, kind)
            for values, estimate in zip(self._used(), self.estimate, strict=True)
        ]
        return np.array(pairs).reshape(-1, 2)

    @property
    def counts(self) -> NDArray[np.intp]:
        """How many replicates (k,) have each quantity."""
        return np.array([len(values) for values in self._used()])

    def _used(self) -> list[Floats]:
        """The values of each quantity in replicates that did not fail."""
        worked = np.ones(len(self.values), dtype=bool)
        worked[list(self.reasons)] = False
        return [column[worked & np.isfinite(column)] for column in self.values.T]


def _interval(values: Floats, estimate: float, tails: Floats, kind: Kind) -> Floats:
    if len(values) < 2 or (np.isnan(estimate) and kind != "percentile"):
        return np.full(2, np.nan)
    if kind == "normal":
        centre = 2.0 * estimate - values.mean()
        normal: Floats = centre + ndtri(tails) * values.std(ddof=1)
        return normal
    if kind == "basic":
        basic: Floats = 2.0 * estimate - np.quantile(values, tails[::-1])
        return basic
    if kind == "bias-corrected":
        # Ties, such as zero variances, count half; a share of 0 or 1 has no quantile.
        below = np.mean(values < estimate) + 0.5 * np.mean(values == estimate)
        share = np.clip(below, 0.5 / len(values), 1.0 - 0.5 / len(values))
        tails = ndtr(2.0 * ndtri(share) + ndtri(tails))
    quantiles: Floats = np.quantile(values, tails)
    return quantiles


def bootstrap(
    fit: AnyFit,
    n: int,
    *,
    statistic: Statistic | None = None,
    method: Method = "parametric",
    random: Random = "marginal",
    seed: Seed = None,
    threads: int | None = None,
    progress: Progress | None = None,
    group: str | None = None,
) -> Bootstrap:
    """Refit the model to ``n`` responses, or resamples of its groups.

    Parameters
    ----------
    statistic
        Of a fit, the quantities: a number, a 1-d array or a mapping of names to numbers; by
        default the natural parameters.
    method, random, seed, threads, group
        See ``MixedFit.bootstrap``.
    progress
        Called with the number of replicates that are done.

    Raises
    ------
    ModelError
        If the model does not allow the method, or every replicate failed.
    """
    streams = Streams(seed)
    parameters = natural_parameters(fit)
    names, estimate, compute = _quantities(fit, parameters, statistic)
    if isinstance(fit, GeneralFit):
        if method != "parametric":
            raise ModelError(
                f"method={method!r} is for Gaussian models: the residuals of others do not have "
                "one distribution. Use method='parametric'."
            )
        general = GeneralDraws(fit, random, streams)
        results = (
            general_values_of(fit, general, n, parameters, threads, progress)
            if statistic is None
            else each_general_refit(fit, general, n, compute, progress)
        )
    elif method == "cases":
        results = each_resample(fit, n, compute, streams, group, progress)
    elif statistic is not None:
        results = each_refit(fit, _draws(fit, method, random, streams), n, compute, progress)
    else:
        draws = _draws(fit, method, random, streams)
        found = fit_responses(fit.problem, draws.deviations, n, threads=threads, progress=progress)
        results = linear_values(fit, found, parameters), found.reasons, found.singular
    values, reasons, singular = results
    if len(reasons) == n:
        raise ModelError(f"Every bootstrap replicate failed; the first: {reasons[0]}")
    worked = np.ones(n, dtype=bool)
    worked[list(reasons)] = False
    share = float(singular[worked].mean())
    return Bootstrap(names, estimate, values, reasons, share, method, fit.design.frame)


def bootstrap_intervals(
    drawn: Bootstrap, parameters: Sequence[Parameter], level: float
) -> list[tuple[float, float]]:
    """Percentile limits of natural parameters, with a warning of those not always defined."""
    places = [drawn.names.index(p.name) for p in parameters]
    worked = len(drawn.values) - drawn.n_failed
    counts = drawn.counts[places]
    if np.any(counts < worked):
        undefined = [
            f"{p.name} ({worked - c})"
            for p, c in zip(parameters, counts, strict=True)
            if c < worked
        ]
        warnings.warn(
            f"Not defined in all of {worked} replicates, where a variance is zero: "
            f"{', '.join(undefined)}. The limits are those of the others.",
            MixedEffectsWarning,
            stacklevel=3,
        )
    return [(float(low), float(high)) for low, high in drawn.limits(level)[places]]


def _draws(fit: Fit, method: Method, random: Random, streams: Streams) -> Draws:
    if method == "residual":
        return residual_draws(fit, streams)
    return parametric_draws(fit, random, streams)


def _quantities(
    fit: AnyFit, parameters: tuple[Parameter, ...], statistic: Statistic | None
) -> tuple[tuple[str, ...], Floats, Callable[[Any], Floats]]:
    """Names and estimates of the quantities, and how they are computed from another fit."""
    if statistic is None:
        names = tuple(p.name for p in parameters)

        def natural(other: AnyFit) -> Floats:
            return np.array([natural_value(other, p) for p in parameters])

        return names, natural(fit), natural
    asked = statistic

    def compute(other: AnyFit) -> Floats:
        given = asked(other)
        values = list(given.values()) if isinstance(given, Mapping) else given
        return np.atleast_1d(np.asarray(values, dtype=np.float64))

    given, estimate = asked(fit), compute(fit)
    if estimate.ndim != 1:
        raise ModelError(
            f"statistic gives an array of shape {estimate.shape}: it should give a number, a 1-d "
            "array or a mapping of names to numbers."
        )
    if isinstance(given, Mapping):
        return tuple(map(str, given)), estimate, compute
    if estimate.size == 1:
        return ("statistic",), estimate, compute
    return tuple(f"statistic[{i}]" for i in range(len(estimate))), estimate, compute
