"""Tests of the random effects."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixedeffects.errors import ModelError
from mixedeffects.inference.streams import Seed
from mixedeffects.inference.variance_tests import Method, variance_tests
from mixedeffects.model.options import check_option, is_whole
from mixedeffects.model.values import Values

# Bootstrap replicates: with 999 and the statistic itself p is a multiple of 1/1000.
REPLICATES = 999
METHODS = ("auto", "asymptotic", "exact", "bootstrap")


class VarianceTests(Values):
    """Whether random effects are needed."""

    def test_random(
        self,
        method: Method = "auto",
        *,
        n: int | None = None,
        seed: Seed = None,
    ) -> Any:
        """Likelihood ratio tests of the random effects, each left out in turn.

        A term with slopes loses one slope at a time, ``(1 | g)`` is left out whole, independent
        effects (``||``) one by one, and other structures whole.

        Parameters
        ----------
        method
            ``"auto"``: exact in finite samples where a single variance of a linear model is all
            there is (Crainiceanu and Ruppert 2004), else asymptotic. ``"asymptotic"``: mixtures
            of χ², since a variance cannot be negative (Self and Liang 1987; Stram and Lee 1994).
            ``"exact"``: for single variances, with other random effects as if known (Greven et
            al. 2008); not for generalized models. ``"bootstrap"``: both models refitted to
            responses of the smaller.
        n, seed
            Of the bootstrap: the number of draws, 999 when left out, and their seed.

        Returns
        -------
        table
            First the fit itself (``<none>``), then a row a test: ``term`` that is left out,
            ``reduced``, what stays of it, ``n_parameters loglik aic`` of the smaller model,
            ``statistic df p_value p_naive reference simulation_error``. ``p_value`` is that of
            ``reference``, with its Monte Carlo error where it is simulated; ``p_naive`` is that
            of χ²(df), too large where a variance is tested. A reference ``at most …`` is a bound:
            the p-value is that or smaller.

        Raises
        ------
        ModelError
            For ``method="exact"`` where a term takes covariances with it, or if every refit of
            the bootstrap failed.

        Examples
        --------
        >>> import mixedeffects as me
        >>> fit = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff"))
        >>> test = fit.test_random().iloc[1]
        >>> print(test["term"], test["reference"], round(test["statistic"], 3))
        (1 | Batch) exact 6.369
        """
        check_option("method", method, METHODS)
        tests = variance_tests(self._fit, method, replicates(method, n, seed), seed)
        own = self.estimates
        return self._table(
            {
                "term": ["<none>", *(t.term for t in tests)],
                "reduced": [None, *(t.left for t in tests)],
                "n_parameters": [own.n_parameters, *(t.n_parameters for t in tests)],
                "loglik": [own.loglik, *(-0.5 * t.objective for t in tests)],
                "aic": [own.aic, *(t.objective + 2.0 * t.n_parameters for t in tests)],
                "statistic": numbers([None, *(t.ratio.statistic for t in tests)]),
                "df": numbers([None, *(t.ratio.df for t in tests)]),
                "p_value": numbers([None, *(t.ratio.p_value for t in tests)]),
                "p_naive": numbers([None, *(t.ratio.p_naive for t in tests)]),
                "reference": [None, *(t.ratio.reference for t in tests)],
                "simulation_error": numbers([None, *(t.ratio.simulation_error for t in tests)]),
            }
        )


def numbers(values: list[Any]) -> Any:
    """Values of which None does not apply; numbers also where that are all."""
    return values if any(v is not None for v in values) else np.full(len(values), np.nan)


def replicates(method: str, n: int | None, seed: Seed) -> int:
    """How many replicates a bootstrap draws; refuses numbers and seeds that serve nothing."""
    if method != "bootstrap" and (n is not None or seed is not None):
        raise ModelError(f"n and seed belong to method='bootstrap', not to {method!r}.")
    n = REPLICATES if n is None else n
    if not is_whole(n) or n < 1:
        raise ModelError(f"n={n!r} is not a number of bootstrap replicates: give 999, say.")
    whole = is_whole(seed) and seed >= 0
    if not (seed is None or whole or isinstance(seed, np.random.Generator)):
        raise ModelError(f"seed={seed!r} is not a whole number from 0, nor a numpy Generator.")
    return int(n)
