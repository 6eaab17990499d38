"""The model in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mixedeffects.effects.means.grid import variables
from mixedeffects.families import AbstractFamily, ZeroInflated
from mixedeffects.formula.design import Design
from mixedeffects.formula.effects import RandomDesign

_DISTRIBUTIONS = {
    "gaussian": "normally distributed",
    "binomial": "binomial: successes among trials",
    "betabinomial": "beta-binomial: successes among trials whose probability itself varies",
    "poisson": "Poisson distributed counts",
    "truncated_poisson": "Poisson distributed counts above zero",
    "nbinom1": "negative binomial counts with a variance proportional to the mean",
    "nbinom2": "negative binomial counts with a variance quadratic in the mean",
    "truncated_nbinom1": "negative binomial counts above zero",
    "truncated_nbinom2": "negative binomial counts above zero",
    "genpois": "generalized Poisson counts",
    "compois": "Conway–Maxwell–Poisson counts",
    "gamma": "gamma distributed positive values",
    "inverse_gaussian": "inverse Gaussian positive values",
    "lognormal": "lognormally distributed positive values",
    "beta": "beta distributed proportions between 0 and 1",
    "ordbeta": "proportions from 0 to 1, ends included, of the ordered beta model",
    "tweedie": "Tweedie distributed amounts, zeros among them",
    "student_t": "distributed as Student's t, which has wider tails than the normal",
    "cumulative": "ordered categories parted by thresholds (a cumulative link model)",
}
_STRUCTURES = {
    "us": "correlated freely",
    "diag": "independent of each other",
    "id": "independent, all with the same variance",
    "cs": "with one correlation for all pairs",
    "homcs": "with the same variance and one correlation for all pairs",
    "ar1": "autoregressive over time",
    "toep": "with a correlation for each distance in time",
    "exp": "with a correlation that falls exponentially with distance",
    "gau": "with a correlation that falls as a Gaussian curve with distance",
    "ou": "an Ornstein–Uhlenbeck process over time",
    "known": "the levels related by a given matrix",
}
_OTHERS = {
    "dispersion": "The dispersion (its logarithm)",
    "zero_inflation": "The probability of an extra zero (its logit)",
}


def description(design: Design, family: AbstractFamily) -> tuple[str, ...]:
    """Sentences on response, fixed part, random terms and other predictors."""
    return tuple(_sentences(design, family))


def response_name(design: Design) -> str:
    """The response as prose has it, without the backticks that a formula needs."""
    return design.response.replace("`", "")


def _sentences(design: Design, family: AbstractFamily) -> Iterator[str]:
    base = family.base if isinstance(family, ZeroInflated) else family
    yield f"{response_name(design)}: {_distribution(design, base)}."
    if isinstance(family, ZeroInflated):
        yield (
            "To the zeros of that distribution come extra ones."
            if base.zero_mass
            else "Zeros are apart from the rest (a hurdle model)."
        )
    what = _what(base)
    yield f"{what} {_depends(design)}."
    yield from (_random(term, what) for term in design.random)
    for name, own in design.others.items():
        yield f"{_OTHERS[name]} {_depends(own)}."
        yield from (_random(term, _OTHERS[name]) for term in own.random)
    if design.offset is not None:
        yield "An offset, a part of the predictor whose coefficient is 1, is added."


def _distribution(design: Design, family: AbstractFamily) -> str:
    if family.name == "binomial" and design.trials is not None and (design.trials == 1.0).all():
        return f"{' or '.join(design.categories) or '0 or 1'} (Bernoulli distributed)"
    return _DISTRIBUTIONS.get(family.name, family.name)


def _what(family: AbstractFamily) -> str:
    if family.name == "cumulative":
        return f"The position on the latent scale ({family.link} link)"
    if family.name == "lognormal":
        return f"The mean ({family.link} link)"
    return "The mean" if family.link == "identity" else f"The {family.link} of the mean"


def _depends(design: Design) -> str:
    factors, covariates = variables((design,))
    kinds = [("covariate", covariates), ("factor", factors)]
    parts = [f"{_plural(kind, found)} {listed(found)}" for kind, found in kinds if found]
    return f"depends on the {' and the '.join(parts)}" if parts else "is the same in all groups"


def _random(term: RandomDesign, what: str) -> str:
    levels = f"{len(term.levels):,} levels of {term.group}"
    effects = ["the intercept" if n == "Intercept" else f"the effect of {n}" for n in term.names]
    if len(effects) > 5:
        effects = [*effects[:3], f"{len(effects) - 3} more effects"]
    several = len(term.names) > 1
    start = listed(effects)
    verb = "vary" if several else "varies"
    said = f"{start[0].upper()}{start[1:]} {verb} normally among the {levels}"
    if several or term.structure == "known":
        said = f"{said}, {_STRUCTURES.get(term.structure, term.structure)}"
    of = "" if what.startswith(("The mean", "The position")) else f" ({what[4:]})"
    return f"{said}{of}."


def listed(names: Sequence[str]) -> str:
    """Names with commas and an "and".

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _plural(noun: str, found: Sequence[str]) -> str:
    return noun if len(found) == 1 else f"{noun}s"
