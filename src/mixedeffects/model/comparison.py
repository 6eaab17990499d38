"""compare(): fits side by side, each tested against the one before."""

from __future__ import annotations

from typing import Any, Literal

from mixedeffects.data.frames import make_table
from mixedeffects.errors import ModelError
from mixedeffects.formula.design import Design
from mixedeffects.inference.model_comparison import compare_fits, corrected_aic
from mixedeffects.inference.streams import Seed
from mixedeffects.model.mixed_fit import MixedFit
from mixedeffects.model.options import check_option
from mixedeffects.model.variance import numbers, replicates


def compare(
    *fits: MixedFit,
    refit: bool = False,
    method: Literal["asymptotic", "bootstrap"] = "asymptotic",
    n: int | None = None,
    seed: Seed = None,
) -> Any:
    """Likelihood ratio tests, AIC and BIC of fits of the same data, in one table.

    Parameters
    ----------
    *fits
        Two or more fits of the same response values, rows, weights and offset.
    refit
        Whether REML fits that cannot be compared as they are, because their fixed effects
        differ, are refitted by maximum likelihood; else they are refused.
    method
        ``"asymptotic"``: χ², and its mixtures where variances are zero under the smaller model;
        ``"bootstrap"``: both models refitted to n responses of the smaller one, which any two
        models allow, also where neither lies within the other.
    n, seed
        Of the bootstrap: the number of draws, 999 when left out, and their seed.

    Returns
    -------
    table
        One row a fit, those with fewest parameters first, in the first fit's frame library:
        ``model`` (place in the call), ``formula``, ``family`` where not all are linear,
        ``estimation`` (``REML``, ``ML``, or ``ML (refitted)``), ``n_parameters loglik objective
        aic aicc bic``, and of the test against the row before ``statistic df p_value p_naive
        reference simulation_error``. ``p_value`` counts
        with variances that cannot be negative, ``p_naive`` is that of χ²(df). Whether one model
        lies within the other is judged by its columns and covariances; where it does not,
        ``reference`` says why there is no test. Families may differ: one may be a limit of the
        other, as ``poisson`` is of ``nbinom2``, or lack its zero inflation, and is then tested
        at that boundary; of any two AIC and BIC compare.

    Raises
    ------
    DataError
        If the fits are not of the same response, rows, weights and offset.
    ModelError
        For fewer than two fits, what is not a fit, the same model twice, or REML fits with
        different fixed effects.

    Notes
    -----
    Self and Liang (1987), JASA 82, 605; Stram and Lee (1994), Biometrics 50, 1171.

    Examples
    --------
    >>> import mixedeffects as me
    >>> data = me.datasets.load("sleepstudy")
    >>> one = me.fit("Reaction ~ Days + (1 | Subject)", data)
    >>> two = me.fit("Reaction ~ Days + (Days | Subject)", data)
    >>> table = me.compare(one, two)
    >>> print(table["statistic"][1].round(3), table["df"][1], table["reference"][1])
    42.837 2.0 0.5 chi2(1) + 0.5 chi2(2)
    """
    for place, fit in enumerate(fits, start=1):
        if not isinstance(fit, MixedFit):
            raise ModelError(f"Argument {place} of compare is {type(fit).__name__}, not a fit.")
    if len(fits) < 2:
        raise ModelError(f"compare needs two fits or more; it was given {len(fits)}.")
    check_option("refit", refit, (True, False))
    check_option("method", method, ("asymptotic", "bootstrap"))
    draws = replicates(method, n, seed)
    rows = compare_fits([fit._fit for fit in fits], refit, method, draws, seed)
    estimates = [row.fit.estimates for row in rows]
    families = [row.fit.family.describe() for row in rows]
    ratios = [row.ratio for row in rows]
    kinds = [
        "REML" if e.reml else "ML (refitted)" if row.refitted else "ML"
        for e, row in zip(estimates, rows, strict=True)
    ]
    return make_table(
        {
            "model": [row.place for row in rows],
            "formula": [_formulas(row.fit.design) for row in rows],
            **({} if set(families) == {"gaussian, identity link"} else {"family": families}),
            "estimation": kinds,
            "n_parameters": [e.n_parameters for e in estimates],
            "loglik": [e.loglik for e in estimates],
            "objective": [e.objective for e in estimates],
            "aic": [e.aic for e in estimates],
            "aicc": [corrected_aic(row.fit) for row in rows],
            "bic": [e.bic for e in estimates],
            "statistic": numbers([r.statistic for r in ratios]),
            "df": numbers([r.df for r in ratios]),
            "p_value": numbers([r.p_value for r in ratios]),
            "p_naive": numbers([r.p_naive for r in ratios]),
            "reference": [r.reference or None for r in ratios],
            "simulation_error": numbers([r.simulation_error for r in ratios]),
        },
        fits[0].design.frame,
    )


def _formulas(design: Design) -> str:
    """The formula, then those of the other linear predictors."""
    parts = {name: own.formula.split("~", 1)[1].strip() for name, own in design.others.items()}
    others = [f"{name} ~ {part}" for name, part in parts.items()]
    return "; ".join([design.formula, *others])
