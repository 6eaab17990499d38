"""Whether one family's model lies within another's, and where in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mixedeffects.families import AbstractFamily, ZeroInflated
from mixedeffects.fitting.general_fit import GeneralFit

# The larger family becomes the smaller one as its dispersion goes to an end of its range.
LIMITS = {
    ("poisson", "nbinom1"),
    ("poisson", "nbinom2"),
    ("truncated_poisson", "truncated_nbinom1"),
    ("truncated_poisson", "truncated_nbinom2"),
    ("binomial", "betabinomial"),
}
# The larger family is the smaller one at a dispersion inside its range.
INSIDE = {("poisson", "genpois"), ("poisson", "compois")}


@dataclass(frozen=True, slots=True)
class FamilyStep:
    """How a larger family holds a smaller one.

    ``place``: ``"same"`` family; ``"inside"``; at its ``"boundary"``, one parameter; or
    ``"singular"``, where some parameters mean nothing and no χ² follows.  ``text`` says where.
    """

    place: Literal["same", "inside", "boundary", "singular"]
    text: str = ""


def family_step(small: GeneralFit, large: GeneralFit) -> FamilyStep | str:
    """How the larger model's family holds the smaller one's, or why it does not."""
    one, two = small.family, large.family
    if one == two:
        return FamilyStep("same")
    apart = f"not nested: {one.describe()} is not within {two.describe()}"
    inflated = isinstance(two, ZeroInflated) and not isinstance(one, ZeroInflated)
    first, second = _base(one), _base(two)
    if isinstance(one, ZeroInflated) and not isinstance(two, ZeroInflated):
        return apart
    if one.link != two.link:
        return apart
    steps = []
    if inflated:
        steps.append(_at_end(large, "zero_inflation", "no zero inflation"))
        if not second.zero_mass:
            return apart
    if first != second:
        pair = first.name, second.name
        if pair in LIMITS:
            steps.append(_at_end(large, "dispersion", f"{pair[1]} at the limit of {pair[0]}"))
        elif pair == ("gaussian", "student_t"):
            steps.append(FamilyStep("boundary", "student_t of infinite df"))
        elif pair in INSIDE:
            steps.append(FamilyStep("inside", f"{pair[0]} inside {pair[1]}"))
        elif pair == ("cumulative", "cumulative") and second == type(second)(link=two.link):
            steps.append(FamilyStep("inside", "equidistant thresholds"))
        else:
            return apart
    if len(steps) == 1:
        return steps[0]
    return FamilyStep("singular", " and ".join(step.text for step in steps))


def _base(family: AbstractFamily) -> AbstractFamily:
    return family.base if isinstance(family, ZeroInflated) else family


def _at_end(large: GeneralFit, component: str, text: str) -> FamilyStep:
    """A predictor at an end of its range: regular if it is one parameter."""
    own = next(c for c in large.estimates.components if c.name == component)
    alone = own.x_names == ("Intercept",) and not any(
        t.component == component for t in large.estimates.terms
    )
    return FamilyStep("boundary" if alone else "singular", text)
