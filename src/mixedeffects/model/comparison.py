"""compare(): fits side by side, each tested against the one before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from mixedeffects.data.frames import make_table
from mixedeffects.errors import ModelError
from mixedeffects.formula.design import Design
from mixedeffects.inference.model_comparison import (
    check_measures,
    check_same_data,
    compare_fits,
    corrected_aic,
)
from mixedeffects.inference.streams import Seed
from mixedeffects.model.mixed_fit import MixedFit
from mixedeffects.model.options import check_option
from mixedeffects.model.variance import numbers, replicates

if TYPE_CHECKING:
    from mixedeffects.model.posterior import Posterior


def compare(
    *fits: MixedFit | Posterior,
    refit: bool = False,
    method: Literal["asymptotic", "bootstrap"] = "asymptotic",
    n: int | None = None,
    seed: Seed = None,
) -> Any:
    """Likelihood ratio tests, AIC and BIC of fits of the same data, in one table.

    Posteriors are compared by how well they predict each row left out in turn, see
    ``Posterior.loo``.

    Parameters
    ----------
    *fits
        Two or more fits, or posteriors, of the same response values, rows, weights and offset.
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

        Of posteriors, the best first: ``model formula family elpd std_error elpd_diff
        diff_std_error p_loo looic n_high_k``. ``elpd`` is the expected log predictive density of
        the rows, ``elpd_diff`` its distance from the best one's, with the standard error of that;
        ``n_high_k``, how many rows have a Pareto k that makes it doubtful.

    Raises
    ------
    DataError
        If the fits are not of the same response, rows, weights and offset.
    ModelError
        For fewer than two fits, what is not a fit, fits beside posteriors, the same model twice,
        or REML fits with different fixed effects.

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
    models, posteriors = _separated(fits)
    check_option("refit", refit, (True, False))
    check_option("method", method, ("asymptotic", "bootstrap"))
    draws = replicates(method, n, seed)
    if posteriors:
        if refit or method != "asymptotic":
            raise ModelError(
                "refit= and method= are of likelihood ratio tests: posteriors are compared by how "
                "well they predict. Leave them out."
            )
        return compare_posteriors(posteriors)
    rows = compare_fits([fit._fit for fit in models], refit, method, draws, seed)
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
        models[0].design.frame,
    )


def compare_posteriors(posteriors: Sequence[Posterior]) -> Any:
    """The table of posteriors by their predictive accuracy, the best first."""
    from mixedeffects.bayes.loo import compared

    samples = [post._sampled for post in posteriors]
    check_measures(samples)
    for place, sampled in enumerate(samples[1:], start=2):
        check_same_data(samples[0], sampled, place, "posterior")
    for place, sampled in enumerate(samples, start=1):
        if sampled.prior_only:
            raise ModelError(f"Posterior {place} has draws of the prior, which no data have moved.")
    found = [post.loo() for post in posteriors]
    order = sorted(range(len(found)), key=lambda i: -found[i].elpd)
    families = [samples[i].family.describe() for i in order]
    columns = compared([found[i] for i in order])
    return make_table(
        {
            "model": [i + 1 for i in order],
            "formula": [_formulas(samples[i].design) for i in order],
            **({} if set(families) == {"gaussian, identity link"} else {"family": families}),
            **columns,
        },
        samples[0].design.frame,
    )


def _separated(fits: Sequence[Any]) -> tuple[list[MixedFit], list[Posterior]]:
    """The fits, or else the posteriors, that are to be compared."""
    models = [fit for fit in fits if isinstance(fit, MixedFit)]
    posteriors: list[Posterior] = []
    if len(models) < len(fits):
        from mixedeffects.model.posterior import Posterior

        posteriors = [fit for fit in fits if isinstance(fit, Posterior)]
    for place, fit in enumerate(fits, start=1):
        if not any(fit is known for known in (*models, *posteriors)):
            raise ModelError(
                f"Argument {place} of compare is {type(fit).__name__}, not a fit: give them one by"
                " one, as in compare(small, large)."
            )
    if len(fits) < 2:
        raise ModelError(f"compare needs two fits or more; it was given {len(fits)}.")
    if models and posteriors:
        raise ModelError(
            "compare was given fits and posteriors: likelihoods at an optimum and predictive "
            "densities over draws are different numbers. Give fits alone, or posteriors alone."
        )
    return models, posteriors


def _formulas(design: Design) -> str:
    """The formula, then those of the other linear predictors."""
    parts = {name: own.formula.split("~", 1)[1].strip() for name, own in design.others.items()}
    others = [f"{name} ~ {part}" for name, part in parts.items()]
    return "; ".join([design.formula, *others])
