"""New observations of generalized fits: the distribution that a prediction interval is of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.general_predictors import GeneralRequest, predictor_covariance
from mixedeffects.effects.general_rows import GeneralRows
from mixedeffects.effects.general_targets import FLAT
from mixedeffects.errors import ModelError
from mixedeffects.families import Response
from mixedeffects.fitting.general_fit import GeneralFit

Floats = NDArray[np.float64]

# Draws a row: a 2.5 % quantile of a normal distribution then has a standard error of 0.04 of
# its standard deviation.
DRAWS = 4000
# Draws that are held at a time.
BATCH = 2_000_000


def observation_columns(
    fit: GeneralFit,
    rows: GeneralRows,
    eta: Sequence[Floats],
    request: GeneralRequest,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Columns ``std_error conf_low conf_high`` of a new observation of each row.

    Its predictors vary about η̂ as the parameters, the modes and the effects of new groups do
    (multivariate normal), the observation about its mean as the family says: limits are
    quantiles of draws of it, the standard error their root mean square distance from the
    estimate.
    """
    covariance = _with_ends_known(predictor_covariance(fit, rows, request))
    trials = trials_behind(fit, rows)
    estimate = fit.family.mean(tuple(eta))
    tails = (0.5 * (1.0 - request.level), 0.5 * (1.0 + request.level))
    spread, limits = np.empty(rows.n), np.empty((2, rows.n))
    for some, drawn in _observations(fit, np.stack(eta, axis=1), covariance, trials, rng):
        spread[some] = np.sqrt(((drawn - estimate[some, None]) ** 2).mean(axis=1))
        limits[:, some] = np.quantile(drawn, tails, axis=1, method="inverted_cdf")
    return {"std_error": spread, "conf_low": limits[0], "conf_high": limits[1]}


def _with_ends_known(covariance: Floats) -> Floats:
    """The covariance (n, A, A) with predictors at the end of their range, η aside, as they are.

    There the likelihood is flat on one side, and no normal distribution describes them.
    """
    flat = np.diagonal(covariance, axis1=1, axis2=2) > FLAT**2
    flat[:, 0] = False
    return np.where(flat[:, :, None] | flat[:, None, :], 0.0, covariance)


def trials_behind(fit: GeneralFit, rows: GeneralRows) -> Floats | None:
    """Trials (n,) of new observations; None where the response is of none.

    Raises
    ------
    ModelError
        If they are not known.
    """
    own = fit.problem.response.trials
    if own is None or rows.trials is not None:
        return rows.trials
    if (own == 1.0).all():
        return np.ones(rows.n)
    raise ModelError(
        "How a new proportion varies depends on its trials, which new data do not tell: give "
        "trials= (a number, or one for each row) with interval='prediction'."
    )


def _observations(
    fit: GeneralFit,
    eta: Floats,
    covariance: Floats,
    trials: Floats | None,
    rng: np.random.Generator,
) -> Iterator[tuple[slice, Floats]]:
    """Rows and their draws (rows, DRAWS) of responses, proportions where there are trials."""
    n, count = eta.shape
    values, vectors = np.linalg.eigh(covariance)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    size = max(1, BATCH // (DRAWS * count))
    for start in range(0, n, size):
        some = slice(start, min(start + size, n))
        normals = rng.standard_normal((some.stop - start, DRAWS, count))
        moved = eta[some, None] + normals @ roots[some].transpose(0, 2, 1)
        own = None if trials is None else np.repeat(trials[some], DRAWS)
        response = Response(np.zeros(moved.shape[0] * DRAWS), own)
        predictors = tuple(np.ascontiguousarray(moved[..., a]).ravel() for a in range(count))
        try:
            with np.errstate(over="ignore"):
                y = fit.family.draw(rng, response, predictors)
        except ValueError:
            raise ModelError(
                "Some rows are predicted with so much uncertainty that no observations of them "
                "can be drawn: ask for std_error=True on scale='link' to see where."
            ) from None
        yield some, (y if own is None else y / own).reshape(-1, DRAWS)
