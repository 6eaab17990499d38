"""What means and slopes of generalized fits are of, by component and scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.general_rows import linear_predictors, own_general_rows, user_coefficients
from mixedeffects.effects.general_targets import Component, Target, mean_follows_link, target_of
from mixedeffects.effects.means.inverse_link import InverseLink, at_zero
from mixedeffects.effects.means.means import Scale
from mixedeffects.effects.means.response_surface import Part, ResponseSurface
from mixedeffects.effects.means.surface import AbstractSurface, LinearSurface, linear_surface
from mixedeffects.errors import ModelError
from mixedeffects.families import AbstractFamily, Cumulative, ZeroInflated
from mixedeffects.families.links import LINKS
from mixedeffects.fitting.general_estimates import coefficient_covariance, designs_of, root_of
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.formula.design import Design
from mixedeffects.inference.coefficients import Coefficients, coefficients
from mixedeffects.inference.freedom import AbstractFreedom

Floats = NDArray[np.float64]

LATENT = "the scale of the latent variable, whose zero is the mean of the thresholds"


def general_surface(
    fit: GeneralFit,
    freedom: AbstractFreedom,
    component: Component,
    scale: Scale,
    *,
    straight: bool = False,
) -> AbstractSurface:
    """What to average: a linear predictor, or the response.

    ``straight``: whether only numbers on the scale asked for will do, as slopes need, and not
    a linear predictor with its way back.

    Raises
    ------
    ModelError
        If the model has no such component, or it has no such scale.
    """
    target = target_of(fit.family, fit.problem.response, component, scale)
    one = follows_link(fit.family, component)
    if scale == "link":
        if not one and component == "response":
            raise ModelError(
                "component='response' depends on several predictors, so it has no link: pass"
                " scale='response', or component='conditional'."
            )
        return predictor_surface(fit, freedom, component, scale)
    if one and not (
        straight and inverse_of(fit.family, fit.design, component).link.name != "identity"
    ):
        return predictor_surface(fit, freedom, component, scale)
    return response_surface(fit, freedom, component, target)


def follows_link(family: AbstractFamily, component: Component) -> bool:
    """Whether a component's values are an inverse link of one linear predictor."""
    if component in ("zero_inflation", "dispersion"):
        return True
    if isinstance(family, ZeroInflated):
        return component == "conditional" and mean_follows_link(family.base)
    return mean_follows_link(family)


def predictor_surface(
    fit: GeneralFit, freedom: AbstractFreedom, component: Component, scale: Scale
) -> LinearSurface:
    """One linear predictor, maybe with the way back from it."""
    own = coefficients(fit, "conditional" if component == "response" else component)
    if own.design is None:
        raise ModelError(
            f"component={component!r} is the same for all rows, as it has no formula: fixef() has"
            " its estimate."
        )
    if isinstance(fit.family, Cumulative):
        kept = np.append(0, own.estimate.kept)
        return LinearSurface((own.design,), latent(fit, own, freedom), kept, LATENT, None)
    back, kept = inverse_of(fit.family, fit.design, component), own.estimate.kept
    if back.link.name == "identity" and fit.family.response_kind == "numeric":
        return linear_surface(own.design, own.freedom(freedom), kept, scale)
    of_what = base_of(fit.family).dispersion if component == "dispersion" else back.target
    named = f"the {back.link.name} scale of {of_what}"
    chosen = back if scale == "response" else None
    return LinearSurface((own.design,), own.freedom(freedom), kept, named, chosen)


def base_of(family: AbstractFamily) -> AbstractFamily:
    """The family of what is not an extra zero."""
    return family.base if isinstance(family, ZeroInflated) else family


def inverse_of(whole: AbstractFamily, design: Design, component: Component) -> InverseLink:
    """The way from a linear predictor to what it is of."""
    family, target = base_of(whole), meaning(whole, design, component)
    typical = has_random(whole, design, "conditional" if component == "response" else component)
    if component == "zero_inflation":
        return InverseLink(LINKS["logit"], target, typical)
    if component == "dispersion":
        rate = float(np.log(family.sigma(np.ones(1)))[0])  # sigma is exp(rate·δ)
        return InverseLink(LINKS["log"], target, typical, rate)
    if not mean_follows_link(family):
        target = f"the location of {design.response}"
    return InverseLink(family.g, target, typical)


def meaning(family: AbstractFamily, design: Design, component: Component) -> str:
    """What the values of a component are on the response's scale."""
    response = design.response
    if component == "zero_inflation":
        return "the probability of an extra zero"
    if component == "dispersion":
        return base_of(family).sigma_name
    if family.response_kind == "ordinal":
        return f"the probability of each category of {response}"
    if isinstance(family, ZeroInflated) and component == "conditional":
        return f"the mean of {response} where it is no extra zero"
    if family.response_kind == "binomial":
        names = design.categories
        return f"the probability of {names[1]!r}" if names else "the probability of success"
    return f"the mean of {response}"


def has_random(family: AbstractFamily, design: Design, component: Component) -> bool:
    """Whether random effects are added to what a component depends on."""
    found = {name for name, own in designs_of(design, family) if own is not None and own.random}
    return bool(found) if component == "response" else component in found


def latent(fit: GeneralFit, own: Coefficients, freedom: AbstractFreedom) -> AbstractFreedom:
    """Coefficients with an intercept: minus the mean of the thresholds.

    Raises
    ------
    ModelError
        If the formula has no intercept.
    """
    if not own.first:
        raise ModelError(
            "The thresholds stand in for the intercept, which the formula leaves out: write it"
            " without '0 +' to have means on the latent scale."
        )
    problem = fit.problem
    extras = fit.family.extras(problem.response)
    values, jacobian = extras.to_user(user_coefficients(fit)[-len(extras.names) :])
    shares = threshold_shares(fit.family, problem.response.n_categories)
    p, place = len(own.estimate.beta), problem.predictors[0].coefficients
    moves = np.zeros((p + 1, problem.n_fixed))
    moves[1:, place] = np.eye(p)
    moves[0, -len(shares) :] = -shares @ jacobian
    return replace(
        freedom,
        beta=np.append(-shares @ values, own.estimate.beta),
        map=np.eye(p + 1),
        root=moves @ root_of(coefficient_covariance(problem, fit.solution)),
    )


def threshold_shares(family: AbstractFamily, n_categories: int) -> Floats:
    """By which the parameters of the thresholds add up to the thresholds' mean."""
    if isinstance(family, Cumulative) and family.threshold == "equidistant":
        return np.array([1.0, 0.5 * (n_categories - 2)])[: n_categories - 1]
    return np.full(n_categories - 1, 1.0 / (n_categories - 1))


def response_surface(
    fit: GeneralFit, freedom: AbstractFreedom, component: Component, target: Target
) -> ResponseSurface:
    """What follows from several predictors, or is to be averaged on the response's scale."""
    slopes = target.slopes(linear_predictors(fit, own_general_rows(fit), []))
    parts: list[Part | None] = []
    for a, (name, design) in enumerate(designs_of(fit.design, fit.family)):
        matters = a == target.place or bool(slopes[..., a].any())
        own = coefficients(fit, name)
        kept = np.append(np.arange(own.first), own.estimate.kept)
        parts.append(Part(design, kept) if design is not None and matters else None)
    designs = tuple(part.design for part in parts if part is not None)
    of_what = fit.family, fit.design, component
    note = f"Averages of {at_zero(meaning(*of_what), has_random(*of_what))}"
    return ResponseSurface(designs, freedom, fit, target, tuple(parts), note)
