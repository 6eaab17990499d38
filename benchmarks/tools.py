"""How each Python package is asked for the same model; imported in that package's interpreter."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cases import Case

Description = dict[str, float | int | str | None]


class CannotFitError(Exception):
    """The package has no way to write this model."""


@dataclass(frozen=True, slots=True)
class Tool:
    """`fit(case, data, reml)`, `refit(fit, response)` and what to read from a fit."""

    fit: Callable[[Case, pd.DataFrame, bool], Any]
    describe: Callable[[Any], Description]
    refit: Callable[[Any, Any], Any] | None = None
    design: Callable[[Case, pd.DataFrame], Any] | None = None


def only_gaussian_without(case: Case, *families: str) -> None:
    """Refuse a case that the package has no way to write."""
    if case.family not in ("gaussian", *families) or case.zero_inflation is not None:
        raise CannotFitError(f"no family {case.family} with zero inflation {case.zero_inflation}")


def random_terms(formula: str) -> tuple[str, list[tuple[str, str]]]:
    """The fixed formula, and (effects, group) of each random term."""
    terms = re.findall(r"\(([^|]*)\|([^)]*)\)", formula)
    fixed = re.sub(r"\s*\+?\s*\([^)]*\|[^)]*\)", "", formula)
    return fixed, [(effects.strip(), group.strip()) for effects, group in terms]


def written_out(formula: str, data: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The formula without `A*B` and `a/b`, and the data with the columns that this needs."""
    new = {}
    for first, second in set(re.findall(r"(\w+)\*(\w+)", formula)):
        new[first + second] = data[first] * data[second]
        formula = formula.replace(f"{first}*{second}", f"{first} + {second} + {first}{second}")
    for effects, group in random_terms(formula)[1]:
        path = group.split("/")
        paths = [path[: depth + 1] for depth in range(len(path))]
        new |= {
            "_".join(columns): data.groupby(columns, sort=False).ngroup() for columns in paths[1:]
        }
        terms = " + ".join(f"({effects} | {'_'.join(columns)})" for columns in paths)
        formula = formula.replace(f"({effects} | {group})", terms)
    return formula, data.assign(**new)


def mixedeffects() -> Tool:
    import mixedeffects as me

    def design(case: Case, data: pd.DataFrame) -> Any:
        from mixedeffects.formula.design import build_design

        return build_design(case.formula, data)

    def fit(case: Case, data: pd.DataFrame, reml: bool) -> Any:
        if case.family == "gaussian":
            return me.fit(case.formula, data, reml=reml)
        return me.fit(case.formula, data, family=case.family, zero_inflation=case.zero_inflation)

    return Tool(
        fit=fit,
        describe=lambda m: {"loglik": m.loglik, "evaluations": m.optimum.evaluations},
        refit=lambda m, y: m.refit(y),
        design=design,
    )


def glmm(satterthwaite: bool = True) -> Tool:
    import glmm as package

    def fit(case: Case, data: pd.DataFrame, reml: bool) -> Any:
        only_gaussian_without(case, "binomial", "poisson")
        formula, data = written_out(case.formula, data)
        if case.family != "gaussian":
            return package.fit(data, formula, family=case.family)
        return package.fit(data, formula, reml=reml, satterthwaite=satterthwaite)

    return Tool(fit, lambda m: {"loglik": m.loglik, "evaluations": f"{m.n_eval}+{m.n_grad}g"})


def mixedlm() -> Tool:
    from mixedlm import lmer

    def fit(case: Case, data: pd.DataFrame, reml: bool) -> Any:
        only_gaussian_without(case)
        return lmer(case.formula, data, REML=reml)

    return Tool(
        fit=fit,
        describe=lambda m: {
            "loglik": float(getattr(m.logLik(), "value", m.logLik())),
            "evaluations": m.function_evals,
        },
        refit=lambda m, y: m.refit(y),
    )


def statsmodels() -> Tool:
    import statsmodels.formula.api as smf

    def fit(case: Case, data: pd.DataFrame, reml: bool) -> Any:
        only_gaussian_without(case)
        if len(random_terms(case.formula)[1]) > 1:
            raise CannotFitError("crossed factors need one dense group of all rows")
        formula, data = written_out(case.formula, data)
        fixed, [(effects, group), *inner] = random_terms(formula)
        model = smf.mixedlm(
            fixed,
            data,
            groups=group,
            re_formula=f"~{effects}",
            vc_formula={unit: f"0 + C({unit})" for _, unit in inner} or None,
        )
        return model.fit(reml=reml)

    return Tool(fit, lambda m: {"loglik": float(m.llf), "evaluations": None})


def gpboost() -> Tool:
    import gpboost as package

    def fit(case: Case, data: pd.DataFrame, reml: bool) -> Any:
        only_gaussian_without(case, "binomial", "poisson")
        formula, data = written_out(case.formula, data)
        fixed, terms = random_terms(formula)
        response, _, effects = fixed.partition("~")
        slopes = [
            (index, name.strip())
            for index, (names, _) in enumerate(terms, start=1)
            for name in names.split("+")
            if name.strip() != "1"
        ]
        fixed_columns = pd.get_dummies(
            data[[name.strip() for name in effects.split("+")]], drop_first=True, dtype=float
        )
        model = package.GPModel(
            likelihood={"binomial": "bernoulli_logit"}.get(case.family, case.family),
            group_data=data[[group for _, group in terms]],
            group_rand_coef_data=data[[name for _, name in slopes]] if slopes else None,
            ind_effect_group_rand_coef=[index for index, _ in slopes] if slopes else None,
            # By default log-determinants of several factors are stochastic approximations.
            matrix_inversion_method="cholesky",
        )
        tight = {} if case.family == "gaussian" else {"params": {"delta_rel_conv": 1e-10}}
        return model.fit(y=data[response.strip()], X=fixed_columns.assign(intercept=1.0), **tight)

    def describe(model: Any) -> Description:
        # always maximum likelihood, and slopes independent of intercepts: another model where
        # there are slopes
        return {
            "loglik": -model.get_current_neg_log_likelihood(),
            "evaluations": model._get_num_optim_iter(),
            "note": "ML, uncorrelated",
        }

    return Tool(fit, describe)


TOOLS: dict[str, Callable[[], Tool]] = {
    "mixedeffects": mixedeffects,
    "glmm": glmm,
    "glmm_plain": lambda: glmm(satterthwaite=False),
    "mixedlm": mixedlm,
    "statsmodels": statsmodels,
    "gpboost": gpboost,
}
