"""How each Python package is asked for the same model; imported in that package's interpreter."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

Description = dict[str, float | int | str | None]


class CannotFit(Exception):
    """The package has no way to write this model."""


@dataclass(frozen=True, slots=True)
class Tool:
    """`fit(formula, data, reml)`, `refit(fit, data, response, reml)` and what to read from a fit."""

    fit: Callable[[str, pd.DataFrame, bool], Any]
    describe: Callable[[Any], Description]
    refit: Callable[[Any, Any], Any] | None = None
    design: Callable[[str, pd.DataFrame], Any] | None = None


def random_terms(formula: str) -> tuple[str, list[tuple[str, tuple[str, ...]]]]:
    """Fixed formula, and (effects, columns that are crossed into the group) of each random term."""
    terms = []
    for effects, group in re.findall(r"\(([^|]*)\|([^)]*)\)", formula):
        path = [name.strip() for name in group.split("/")]
        terms += [(effects.strip(), tuple(path[: depth + 1])) for depth in range(len(path))]
    fixed = re.sub(r"\s*\+?\s*\([^)]*\|[^)]*\)", "", formula)
    return fixed, terms


def codes(data: pd.DataFrame, columns: tuple[str, ...]) -> Any:
    if len(columns) == 1:
        return data[columns[0]].to_numpy()
    return data.groupby(list(columns), sort=False).ngroup().to_numpy()


def mixedeffects() -> Tool:
    import mixedeffects as me

    def design(formula: str, data: pd.DataFrame) -> Any:
        from mixedeffects.formula.design import build_design

        return build_design(formula, data)

    return Tool(
        fit=lambda formula, data, reml: me.fit(formula, data, reml=reml),
        describe=lambda m: {"loglik": m.loglik, "evaluations": m.optimum.evaluations},
        refit=lambda m, y: m.refit(y),
        design=design,
    )


def glmm(satterthwaite: bool = True) -> Tool:
    import glmm as package

    def fit(formula: str, data: pd.DataFrame, reml: bool) -> Any:
        return package.fit(data, formula, reml=reml, satterthwaite=satterthwaite)

    return Tool(fit, lambda m: {"loglik": m.loglik, "evaluations": f"{m.n_eval}+{m.n_grad}g"})


def mixedlm() -> Tool:
    from mixedlm import lmer

    return Tool(
        fit=lambda formula, data, reml: lmer(formula, data, REML=reml),
        describe=lambda m: {
            "loglik": float(getattr(m.logLik(), "value", m.logLik())),
            "evaluations": m.function_evals,
        },
        refit=lambda m, y: m.refit(y),
    )


def statsmodels() -> Tool:
    import statsmodels.formula.api as smf

    def fit(formula: str, data: pd.DataFrame, reml: bool) -> Any:
        fixed, [(effects, (group, *_)), *inner] = random_terms(formula)
        if any(term != "1" or columns[0] != group for term, columns in inner):
            raise CannotFit("crossed factors need one dense group of all rows")
        units = {"_".join(columns): codes(data, columns) for _, columns in inner}
        model = smf.mixedlm(
            fixed,
            data.assign(**units),
            groups=group,
            re_formula=f"~{effects}",
            vc_formula={unit: f"0 + C({unit})" for unit in units} or None,
        )
        return model.fit(reml=reml)

    return Tool(fit, lambda m: {"loglik": float(m.llf), "evaluations": None})


def gpboost() -> Tool:
    import gpboost as package

    def fit(formula: str, data: pd.DataFrame, reml: bool) -> Any:
        fixed, terms = random_terms(formula)
        response, _, effects = fixed.partition("~")
        if any("*" in term for term in [effects, *(term for term, _ in terms)]):
            raise CannotFit("needs the product columns written out")
        slopes = [(i + 1, term) for i, (term, _) in enumerate(terms) if term != "1"]
        groups = pd.DataFrame({":".join(columns): codes(data, columns) for _, columns in terms})
        fixed_columns = data[[name.strip() for name in effects.split("+")]]
        model = package.GPModel(
            likelihood="gaussian",
            group_data=groups,
            group_rand_coef_data=data[[name for _, name in slopes]] if slopes else None,
            ind_effect_group_rand_coef=[index for index, _ in slopes] if slopes else None,
        )
        return model.fit(y=data[response.strip()], X=fixed_columns.assign(intercept=1.0))

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
