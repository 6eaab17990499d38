"""Likelihood ratio tests of the terms of a generalized model's predictor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError
from mixedeffects.fitting.constrained import constrained_objective
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.formula.indicators import term_factors
from mixedeffects.inference.anova import left_out, term_hypotheses
from mixedeffects.inference.chi_bar import chi_square_upper
from mixedeffects.inference.coefficients import Coefficients, coefficients
from mixedeffects.inference.likelihood_ratio import statistic_of

Floats = NDArray[np.float64]


def ratio_table(fit: GeneralFit, kind: int, component: str) -> dict[str, object]:
    """Columns ``term num_df den_df statistic p_value``: χ² of models with and without each term.

    Of types 1 and 2 the larger model lacks the terms that a term is not given; of type 3 it is
    the fit, and the smaller one fulfils the term's hypothesis.
    """
    own = coefficients(fit, component)
    hypotheses = term_hypotheses(fit, kind, True, own)
    tests = [_test(fit, own, kind, term, L) for term, L in hypotheses]
    statistics = np.array([s for s, _ in tests])
    freedoms = np.array([df for _, df in tests], dtype=np.int64)
    p_values = [float(chi_square_upper(s, df)) if df else np.nan for s, df in tests]
    return {
        "term": [term for term, _ in hypotheses],
        "num_df": freedoms,
        "den_df": np.where(freedoms > 0, np.inf, np.nan),
        "statistic": statistics,
        "p_value": np.array(p_values),
    }


def _test(fit: GeneralFit, own: Coefficients, kind: int, term: str, L: Floats) -> tuple[float, int]:
    name, p = own.estimate.name, len(own.estimate.beta)
    if not len(L):
        return float("nan"), 0
    larger, p_larger = fit.estimates.objective, p
    if kind != 3:
        tested, later = _columns(own, kind, own.terms.index(term))
        L = np.eye(p)[[*tested, *later]]
        if later:
            larger, p_larger = constrained_objective(fit, name, np.eye(p)[later])
    smaller, p_smaller = constrained_objective(fit, name, L)
    statistic = statistic_of(smaller, larger)
    if statistic is None:
        raise ModelError(
            f"The model without {term!r} fits better than that with it: the fit is not at its "
            "optimum; fit again from another start."
        )
    return statistic, p_larger - p_smaller


def _columns(own: Coefficients, kind: int, number: int) -> tuple[list[int], list[int]]:
    """Columns of a term, and of those that it is not given."""
    assert own.design is not None
    factors = term_factors(own.design.spec.fixed)
    columns = [own.columns_of(i) for i in range(len(own.terms))]
    return columns[number], left_out(number, kind, columns, factors, True)[1]
