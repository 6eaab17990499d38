"""Flat priors that leave no posterior, refused with the reason.

A flat prior is none: where the likelihood does not fall fast enough towards the end of a
parameter's range, its integral is infinite, although a sampler returns numbers. Of a standard
deviation τ, the likelihood of groups falls like τ^−r, r the number of independent comparisons
between levels that flat coefficients leave, and r must be more than the number of deviations
that grow (Gelman 2006, Bayesian Analysis 1, 515-534; Hobert and Casella 1996, JASA 91,
1461-1473).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.prior_parameters import ModelParts
from mixedeffects.bayes.priors import AbstractPrior, Flat
from mixedeffects.errors import ModelError
from mixedeffects.families import AbstractFamily, Response, ZeroInflated
from mixedeffects.fitting.general import MEASURED
from mixedeffects.fitting.separation import LARGEST_PROGRAM, has_ray

if TYPE_CHECKING:
    from mixedeffects.bayes.prior_model import PriorModel

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Families that become a simpler one, whose likelihood is not zero, at an end of the dispersion
# predictor; and whether the reported dispersion is infinite there.
SIMPLER = {
    "nbinom2": ("Poisson", 1),
    "truncated_nbinom2": ("truncated Poisson", 1),
    "betabinomial": ("binomial", 1),
    "compois": ("geometric", 1),
    "nbinom1": ("Poisson", -1),
    "truncated_nbinom1": ("truncated Poisson", -1),
}
# The power of sigma like whose inverse a row's likelihood falls as sigma grows, where it is not 1;
# of truncated counts that falls like an inverse logarithm.
FALL = {"genpois": 0.5, "lognormal": 0.25, "truncated_nbinom1": 0.0}
WAY_OUT = "Leave it out for the default, or give a prior that is a distribution."


def check_posterior(parts: ModelParts, priors: PriorModel) -> None:
    """Refuse flat priors of which the data bound no parameter.

    Raises
    ------
    ModelError
        With the parameter, the reason and the way out.
    """
    if not any(isinstance(own.prior, Flat) for own in priors.assigned):
        return
    flat = _FlatModel(parts, priors)
    _check_coefficients(flat)
    _check_deviations(flat)
    _check_sigma(flat)
    _check_extras(flat)


@dataclass(frozen=True, slots=True)
class _FlatModel:
    """A model with flat priors."""

    parts: ModelParts
    priors: PriorModel

    @property
    def family(self) -> AbstractFamily:
        return self.parts.family

    @property
    def response(self) -> Response:
        return self.parts.response

    @property
    def base(self) -> AbstractFamily:
        return self.family.base if isinstance(self.family, ZeroInflated) else self.family

    @property
    def is_mixture(self) -> bool:
        """Whether zeros may come from two sources."""
        return isinstance(self.family, ZeroInflated) and self.base.zero_mass

    def directions(self, number: int) -> tuple[Floats, list[str]]:
        """A basis (p, d) of how a predictor's coefficients move with the flat ones among them,
        each by about 1 in its rows; and the names of those."""
        own = self.priors.coefficients
        predictor = self.parts.predictors[number]
        place = predictor.coefficients
        flat = [i for i in _places(own.independent.priors) if place.start <= i < place.stop]
        # the inverse of A, see CoefficientPriors
        moved = (2.0 * np.eye(len(own.names)) - own.functions)[place][:, flat]
        if flat:
            R = np.linalg.qr(predictor.X @ moved)[1]
            moved = np.sqrt(len(predictor.X)) * np.linalg.solve(R.T, moved.T).T
        return moved, [own.names[i] for i in flat]

    def rows(self, number: int) -> tuple[Floats, list[str]]:
        """The same of its rows (n, d)."""
        moved, names = self.directions(number)
        return self.parts.predictors[number].X @ moved, names


def _places(priors: Sequence[AbstractPrior]) -> list[int]:
    return [i for i, prior in enumerate(priors) if isinstance(prior, Flat)]


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _refuse(names: Sequence[str], why: str) -> ModelError:
    listed = ", ".join(map(repr, names))
    return ModelError(f"A flat prior of {listed} leaves no posterior: {why} {WAY_OUT}")


# -- coefficients --------------------------------------------------------------------------


def _check_coefficients(model: _FlatModel) -> None:
    for number, predictor in enumerate(model.parts.predictors):
        rows, names = model.rows(number)
        if not names or len(rows) > LARGEST_PROGRAM:
            continue
        if predictor.thresholds:
            falling, held = _beside_thresholds(model, rows)
        else:
            falling, held = _one_sided(rows, *_bounds(model, predictor.name))
        if has_ray(falling, held) or _rank(np.vstack([falling, held])) < rows.shape[1]:
            raise _refuse(names, _unbounded(model, predictor.name))


def _unbounded(model: _FlatModel, predictor: str) -> str:
    if predictor == "dispersion":
        limit, _ = SIMPLER[model.family.name]
        return f"at its end the family is {limit}, which the data allow."
    if predictor == "zero_inflation" and model.is_mixture:
        return "the data allow a model without extra zeros."
    return "they separate the response, and the likelihood does not fall as they go to infinity."


def _one_sided(rows: Floats, below: Mask, above: Mask) -> tuple[Floats, Floats]:
    """The rows (n, d) that may not go down, or not go up with their sign changed; and those that
    may go nowhere."""
    up, down, held = below & ~above, above & ~below, below & above
    return np.vstack([rows[up], -rows[down]]), rows[held]


def _beside_thresholds(model: _FlatModel, rows: Floats) -> tuple[Floats, Floats]:
    """What may not fall as coefficients and flat thresholds move: each row's thresholds' distance
    from its predictor, above and below; and no row that may not move at all."""
    extras, codes = model.priors.extras, model.response.y.astype(np.intp)
    flat = _places(extras.independent.priors)
    n, last = len(codes), len(extras.names)
    # those at the means of the columns go with them
    with_rows = extras.shifts[:, model.parts.predictors[0].coefficients] @ model.directions(0)[0]
    thresholds = np.hstack([with_rows, np.eye(last)[:, flat]])
    predictor = np.hstack([rows, np.zeros((n, len(flat)))])
    over, under = codes < last, codes > 0
    distances = np.vstack(
        [
            thresholds[codes[over]] - predictor[over],
            predictor[under] - thresholds[codes[under] - 1],
        ]
    )
    return distances, np.empty((0, distances.shape[1]))


# -- standard deviations -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _FlatDeviation:
    """A standard deviation with a flat prior: its name, the columns (n, m) that it scales, and
    the codes of their levels (n,)."""

    name: str
    columns: Floats
    codes: NDArray[np.int32]


def _check_deviations(model: _FlatModel) -> None:
    found = _flat_deviations(model)
    if not found:
        return
    flat = model.rows(0)[0]
    sets = [[own] for own in found] + ([found] if len(found) > 1 else [])
    for together in sets:
        comparisons = _comparisons(model, together, flat)
        if comparisons > len(together):
            continue
        told = _counted(comparisons, "independent comparison")
        beside = f" beside {_counted(flat.shape[1], 'flat coefficient')}" if flat.shape[1] else ""
        raise _refuse(
            [own.name for own in together],
            f"between levels the data have {told}{beside}, and {len(together) + 1} are needed for "
            "the likelihood to fall fast enough far out.",
        )


def _flat_deviations(model: _FlatModel) -> list[_FlatDeviation]:
    found = []
    for (component, term, _), own, names in zip(
        model.parts.terms, model.priors.terms, model.priors.deviation_names, strict=True
    ):
        for i in _places(own.deviations.priors):
            if component != "conditional":
                raise _refuse(
                    [names[i]], f"effects on the {component} are bounded on neither side."
                )
            columns = term.values if len(names) == 1 else term.values[:, i : i + 1]
            found.append(_FlatDeviation(names[i], columns, term.codes))
    return found


def _comparisons(model: _FlatModel, deviations: Sequence[_FlatDeviation], flat: Floats) -> int:
    """The rank that the columns of levels add to that of flat coefficients, among the levels
    whose effects the rows bound on both sides."""
    below, above = _bounds(model)
    columns, most, bounded = [], 0, np.zeros(len(below), bool)
    for own in deviations:
        for values in own.columns.T:
            up = np.where(values > 0, above, below) & (values != 0)
            down = np.where(values > 0, below, above) & (values != 0)
            n = int(own.codes.max()) + 1
            both = (np.bincount(own.codes, up, n) > 0) & (np.bincount(own.codes, down, n) > 0)
            levels = np.flatnonzero(both)
            columns += [(values, own.codes, level) for level in levels]
            most, bounded = max(most, len(levels)), bounded | both[own.codes]
    enough = most - int(flat.shape[1])
    if enough > len(deviations):
        return enough
    indicators = [np.where(codes == level, values, 0.0) for values, codes, level in columns]
    X = flat[bounded]
    whole = np.column_stack([X, *(z[bounded] for z in indicators)])
    return _rank(whole) - _rank(X)


def _rank(matrix: Floats) -> int:
    if not matrix.size:
        return 0
    sizes = np.sqrt((matrix**2).sum(axis=0))
    return int(np.linalg.matrix_rank(matrix / np.where(sizes > 0.0, sizes, 1.0)))


def _bounds(model: _FlatModel, predictor: str = "conditional") -> tuple[Mask, Mask]:
    """Which rows (n,) keep a predictor from going to −∞, and to +∞."""
    y, trials, base = model.response.y, model.response.trials, model.base
    everywhere, nowhere = np.ones(len(y), bool), np.zeros(len(y), bool)
    if predictor == "dispersion":
        _, end = SIMPLER.get(base.name, ("", 0))
        return (nowhere if end < 0 else everywhere), (nowhere if end > 0 else everywhere)
    if predictor == "zero_inflation":
        return (nowhere if model.is_mixture else y == 0), y != 0
    if base.link in MEASURED:
        return everywhere, everywhere
    if trials is not None:
        return y > 0, (y < trials) | (base.link == "log")
    if base.has_thresholds:
        return y > 0, y < y.max()
    if base.name == "ordbeta":
        return y > 0, y < 1
    if base.name.startswith("truncated"):
        return y > 1, y > 0
    if isinstance(model.family, ZeroInflated):
        return y != 0, y != 0
    return (y > 0, everywhere) if base.zero_mass else (everywhere, everywhere)


# -- what all rows share -------------------------------------------------------------------


def _check_sigma(model: _FlatModel) -> None:
    sigma = model.priors.sigma
    if sigma is None or not isinstance(sigma.prior, Flat):
        return
    limit, end = SIMPLER.get(model.family.name, ("", 0))
    if end > 0:
        raise _refuse(["sigma"], f"as it grows the family is {limit}, which the data allow.")
    telling = (
        int(np.count_nonzero(model.response.y)) if model.base.zero_mass else len(model.response.y)
    )
    flat = model.directions(0)[0].shape[1]
    if FALL.get(model.family.name, 1.0) * telling - flat <= 1.0:
        rows, beside = _counted(telling, "row"), _counted(flat, "flat coefficient")
        why = f"the likelihood of {rows} beside {beside} does not fall fast enough as it grows."
        raise _refuse(["sigma"], why)


def _check_extras(model: _FlatModel) -> None:
    y, extras = model.response.y, model.priors.extras
    for i in _places(extras.independent.priors):
        name = extras.names[i]
        if model.base.name == "student_t":
            raise _refuse([name], "as it grows the family is Gaussian, which the data allow.")
        ends = {0: bool((y == 0).any()), 1: bool((y == 1).any())}
        if model.base.name == "ordbeta" and not ends[i]:
            raise _refuse(
                [name], f"the response is never {i}, which leaves the cutpoint unbounded."
            )
