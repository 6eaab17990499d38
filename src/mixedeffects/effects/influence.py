"""What the estimates would be without a row, or without all rows of a group.

Belsley, Kuh and Welsch (1980), Regression Diagnostics; for mixed models Demidenko and Stukel
(2005), Stat. Med. 24, 893-909.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance.base import column_deviations
from mixedeffects.data.frames import FrameKind, make_table
from mixedeffects.effects.groups import group_rows
from mixedeffects.effects.leverage import coefficient_gains, left_over
from mixedeffects.effects.residuals import residuals
from mixedeffects.effects.rows import row_labels
from mixedeffects.errors import ModelError
from mixedeffects.fitting.deletion import Deleted, Deletions
from mixedeffects.fitting.estimates import RandomTermEstimate, prefix_of
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_deletion import GeneralDeletions
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.fitting.replicates import CHUNK, affordable_threads, run_threads

Floats = NDArray[np.float64]
AnyFit = Fit | GeneralFit

# Why there are no estimates without a row.
ALONE = "It alone informs a coefficient."
FEW = "Too few rows are left for the fixed effects."


@dataclass(frozen=True, slots=True)
class Influence:
    """How the estimates of a fit depend on single rows or groups, D of them.

    Where the model cannot be estimated without one, its numbers are NaN and ``reasons`` says
    why.

    Attributes
    ----------
    group : str or None
        The grouping factor whose levels were deleted; None for single rows.
    refitted : bool
        Whether the variance parameters were estimated again; if not, they were held.
    levels : ndarray, shape (D,)
        What was deleted: levels, or labels of rows.
    dfbeta : ndarray, shape (D, p)
        β̂ − β̂ without it.
    dfbetas : ndarray, shape (D, p)
        The same over the standard error without it.
    cooks_distance : ndarray, shape (D,)
        dfbeta' Cov(β̂)⁻¹ dfbeta / p.
    covratio : ndarray, shape (D,)
        det Cov(β̂) without it over that of the fit.
    covtrace : ndarray, shape (D,)
        |tr(Cov(β̂)⁻¹ Cov(β̂) without it) − p|.
    sigma : ndarray, shape (D,)
        Residual standard deviation without it.
    theta : ndarray, shape (D, m)
        Relative covariance parameters without it.
    deviations : ndarray, shape (D, s)
        Standard deviations of the random effects without it.
    reasons : tuple of (str or None)
        Why there are no numbers.
    x_names, deviation_names : tuple of str
    """

    group: str | None
    refitted: bool
    levels: NDArray[Any]
    dfbeta: Floats
    dfbetas: Floats
    cooks_distance: Floats
    covratio: Floats
    covtrace: Floats
    sigma: Floats
    theta: Floats
    deviations: Floats
    reasons: tuple[str | None, ...]
    x_names: tuple[str, ...]
    deviation_names: tuple[str, ...]
    frame: FrameKind = field(default=FrameKind(), repr=False)

    def __repr__(self) -> str:
        what = "rows" if self.group is None else f"levels of {self.group}"
        how = "refitted" if self.refitted else "variance parameters held"
        return f"<Influence of {len(self.levels):,} {what}, {how}>"

    @property
    def table(self) -> Any:
        """One row a deletion.

        Columns: ``row``, or ``level``; ``cooks_distance covratio``; ``dfbetas_…`` of each
        coefficient; ``sigma`` and ``sd(… | group)``, the standard deviations without it;
        ``reason``.
        """
        columns: dict[str, Any] = {
            "row" if self.group is None else "level": self.levels,
            "cooks_distance": self.cooks_distance,
            "covratio": self.covratio,
        }
        columns |= {f"dfbetas_{n}": v for n, v in zip(self.x_names, self.dfbetas.T, strict=True)}
        columns["sigma"] = self.sigma
        columns |= dict(zip(self.deviation_names, self.deviations.T, strict=True))
        columns["reason"] = list(self.reasons)
        return make_table(columns, self.frame)

    def largest(self, n: int = 10) -> Self:
        """The n of largest Cook's distance, those without an estimate first."""
        size = np.where(np.isnan(self.cooks_distance), np.inf, self.cooks_distance)
        chosen = np.argsort(-size, kind="stable")[:n]
        picked = {
            f.name: getattr(self, f.name)[chosen]
            for f in fields(self)
            if isinstance(getattr(self, f.name), np.ndarray)
        }
        return replace(self, reasons=tuple(self.reasons[i] for i in chosen), **picked)


def cooks_distance(fit: Fit) -> Floats:
    """r²/p·h/(1 − h) of the standardized residuals r, (nobs,).

    Raises
    ------
    ModelError
        If there are no fixed effects.
    """
    if not len(fit.estimates.beta):
        raise ModelError("Cook's distance is per fixed effect, and this model has none.")
    left = left_over(fit)
    square = residuals(fit, "standardized") ** 2
    return (1.0 - left) / left * square / len(fit.estimates.beta)


def influence_of_rows(fit: AnyFit, refit: bool) -> Influence:
    """Each row deleted, at fixed θ in closed form, or with the model refitted."""
    if not refit:
        assert isinstance(fit, Fit)
        return _at_fixed_theta(fit)
    parts = list(np.arange(fit.estimates.nobs)[:, None])
    return _compared(fit, None, row_labels(fit), *_deleted(fit, parts, True), True)


def influence_of_groups(fit: AnyFit, group: str, refit: bool) -> Influence:
    """The rows of each level of a grouping factor deleted."""
    codes, levels = group_rows(fit, group)
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.searchsorted(codes[order], np.arange(1, len(levels))))
    return _compared(fit, group, levels, *_deleted(fit, parts, refit), refit)


def _at_fixed_theta(fit: Fit) -> Influence:
    """Rank-one downdates: M − w cc' has the inverse M⁻¹ + w M⁻¹cc'M⁻¹/(1 − h).

    So β̂ − β̂₍ᵢ₎ = w g e/(1 − h) and Cov(β̂₍ᵢ₎)/σ²₍ᵢ₎ = Cov(β̂)/σ² + w gg'/(1 − h), with g the
    part of M⁻¹c for β, and the weighted sum of squares falls by w e²/(1 − h).
    """
    estimates, weights = fit.estimates, fit.design.weights
    dof, n = fit.problem.dof, estimates.nobs
    enough = n - 1 > len(estimates.beta)
    left = left_over(fit) if enough else np.full(n, np.nan)
    residual = residuals(fit, "pearson")
    scaled = coefficient_gains(fit)
    if weights is not None:
        scaled = scaled * np.sqrt(weights)[:, None]
    square = dof * estimates.sigma**2 - residual**2 / left
    sigma = np.sqrt(np.maximum(square, 0.0) / max(dof - 1, 1))
    relative = estimates.vcov / estimates.sigma**2
    added = scaled[:, :, None] * scaled[:, None, :] / left[:, None, None]
    return _summarized(
        fit,
        None,
        row_labels(fit),
        scaled * (residual / left)[:, None],
        sigma[:, None, None] ** 2 * (relative + added),
        sigma,
        np.where(np.isnan(left)[:, None], np.nan, estimates.theta),
        [(ALONE if enough else FEW) if gone else None for gone in np.isnan(left)],
        False,
    )


def _deleted(
    fit: AnyFit, parts: Sequence[NDArray[np.integer]], refit: bool
) -> tuple[list[Deleted], list[str | None]]:
    """Estimates without each part of the rows, NaN with the reason where there are none."""
    p, m = len(fit.estimates.beta), len(fit.estimates.theta)
    nothing = Deleted(np.full(p, np.nan), np.full((p, p), np.nan), np.nan, np.full(m, np.nan))
    deletions = Deletions(fit, refit) if isinstance(fit, Fit) else GeneralDeletions(fit)
    results = [nothing] * len(parts)
    reasons: list[str | None] = [None] * len(parts)

    def work(chunk: slice) -> int:
        for i in range(chunk.start, chunk.stop):
            try:
                results[i] = deletions.without(parts[i])
            except ModelError as error:
                reasons[i] = str(error)
        return int(chunk.stop - chunk.start)

    chunks = [slice(i, min(i + CHUNK, len(parts))) for i in range(0, len(parts), CHUNK)]
    sum(run_threads(work, chunks, affordable_threads(fit.problem)))
    return results, reasons


def _compared(
    fit: AnyFit,
    group: str | None,
    levels: NDArray[Any],
    results: list[Deleted],
    reasons: list[str | None],
    refitted: bool,
) -> Influence:
    return _summarized(
        fit,
        group,
        levels,
        fit.estimates.beta - np.stack([r.beta for r in results]),
        np.stack([r.vcov for r in results]),
        np.array([r.sigma for r in results]),
        np.stack([r.theta for r in results]),
        reasons,
        refitted,
    )


def _summarized(
    fit: AnyFit,
    group: str | None,
    levels: NDArray[Any],
    dfbeta: Floats,
    vcov: Floats,
    sigma: Floats,
    theta: Floats,
    reasons: Sequence[str | None],
    refitted: bool,
) -> Influence:
    p = len(fit.estimates.beta)
    root = np.linalg.cholesky(fit.estimates.vcov)
    along = np.linalg.solve(root, dfbeta.T)
    # Cov(β̂) without it, in coordinates in which that of the fit is the identity
    whitened = np.linalg.solve(root, np.linalg.solve(root, vcov).transpose(0, 2, 1))
    with np.errstate(invalid="ignore"):  # NaN where there is no estimate
        covratio = np.linalg.det(whitened)
    return Influence(
        group=group,
        refitted=refitted,
        levels=levels,
        dfbeta=dfbeta,
        dfbetas=dfbeta / np.sqrt(np.diagonal(vcov, axis1=1, axis2=2)),
        cooks_distance=(along**2).sum(axis=0) / max(p, 1),
        covratio=covratio,
        covtrace=np.abs(np.trace(whitened, axis1=1, axis2=2) - p),
        sigma=sigma,
        theta=theta,
        deviations=_deviations(fit, sigma, theta),
        reasons=tuple(reasons),
        x_names=fit.estimates.x_names,
        deviation_names=tuple(
            f"{prefix_of(term.component)}sd({name} | {term.group})"
            for term in fit.estimates.terms
            for name in _shown(term)
        ),
        frame=fit.design.frame,
    )


def _shown(term: RandomTermEstimate) -> tuple[str, ...]:
    """The columns, or ``all`` where they share one standard deviation."""
    shared = term.kind.n_deviations == 1 and len(term.names) > 1
    return ("all",) if shared else term.names


def _deviations(fit: AnyFit, sigma: Floats, theta: Floats) -> Floats:
    """Standard deviations (D, s) of the random effects from σ (D,) and θ (D, m)."""
    counts = [len(_shown(term)) for term in fit.estimates.terms]
    result = np.full((len(sigma), sum(counts)), np.nan)
    unit = sigma if isinstance(fit, Fit) else np.ones(len(sigma))
    for i in np.flatnonzero(np.isfinite(unit) & np.isfinite(theta).all(axis=1)):
        parts = [
            column_deviations(t.covariance.factor(theta[i, t.parameters]))[:count]
            for t, count in zip(fit.problem.terms, counts, strict=True)
        ]
        result[i] = unit[i] * np.concatenate(parts)
    return result
