"""A generalized linear mixed model as standardized arrays, before anything is estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.cholesky import Plan, analyse, columns_of
from mixedeffects.algebra.crossproducts import Grouping, crossproducts
from mixedeffects.algebra.standardize import FixedBasis, fixed_basis
from mixedeffects.families.base import AbstractFamily
from mixedeffects.families.response import Response
from mixedeffects.fitting.problem import Term, TermArrays, group_terms

Floats = NDArray[np.float64]

# Rows whose weighted columns stay in the cache.
BLOCK = 1 << 12
# Links by which a predictor has the response's unit, or a power of it.
MEASURED = ("identity", "inverse", "sqrt", "1/mu^2")


@dataclass(frozen=True, slots=True)
class Predictor:
    """One linear predictor, Xβ + Zb + offset.

    ``basis`` of its X, of which the first ``dropped`` columns were left out; ``offset`` (n,) or
    None; ``first``, its first coefficient in β; ``constant``, whether it has nothing but one.
    """

    name: str
    basis: FixedBasis
    dropped: int
    offset: Floats | None
    first: int
    constant: bool

    @property
    def coefficients(self) -> slice:
        """Its place in β."""
        return slice(self.first, self.first + self.basis.columns.shape[1])

    def fixed(self, beta: Floats) -> Floats:
        """Xβ + offset (n,), or one number where it is the same for all rows."""
        own = beta[self.coefficients]
        if self.constant:
            return own.reshape(())
        linear = self.basis.columns @ own
        return linear if self.offset is None else linear + self.offset


@dataclass(frozen=True, slots=True)
class PredictorArrays:
    """A linear predictor as given: X (n, p), offset, intercept's column, random terms.

    ``dropped``: how many columns before those of X are left out.
    """

    name: str
    X: Floats
    dropped: int
    offset: Floats | None
    intercept: int | None
    random: tuple[TermArrays, ...]


@dataclass(frozen=True, slots=True)
class GeneralProblem:
    """What the marginal likelihood of a generalized model needs.

    ``weights`` (n,) prior weights or None; ``predictors``, the family's, in its order, then
    its extra parameters as predictors of one constant; ``terms`` with their ``groupings``,
    ``predictor`` (F,) the predictor of each grouping; ``plan`` of the factor; ``quadrature``,
    how many nodes the integral has along each random effect, 1 for Laplace; ``reml``, whether
    the coefficients are integrated out as well.
    """

    family: AbstractFamily
    response: Response
    weights: Floats | None
    predictors: tuple[Predictor, ...]
    terms: tuple[Term, ...]
    groupings: tuple[Grouping, ...]
    predictor: tuple[int, ...]
    plan: Plan
    n_rows: int
    n_parameters: int
    n_fixed: int
    quadrature: int = 1
    reml: bool = False

    @property
    def curved(self) -> tuple[int, ...]:
        """The predictors that carry random effects."""
        return tuple(sorted(set(self.predictor)))

    @property
    def exact(self) -> bool:
        """Whether the rows are quadratic in the random effects, so that Laplace errs by nothing."""
        linear = self.family.name == "gaussian" and self.family.link == "identity"
        return linear and self.curved == (0,)

    @property
    def bounded(self) -> bool:
        """Whether a predictor can give a mean that the family does not have."""
        link = self.family.link
        return link in MEASURED or (link == "log" and self.response.trials is not None)


def build_general(
    family: AbstractFamily,
    response: Response,
    predictors: Sequence[PredictorArrays],
    weights: Floats | None = None,
    quadrature: int = 1,
) -> GeneralProblem:
    """Standardize the predictors' columns and analyse the pattern of their levels."""
    made: list[Predictor] = []
    random: list[TermArrays] = []
    owner: list[int] = []
    first = 0
    for number, given in enumerate(predictors):
        basis = fixed_basis(given.X, weights, given.intercept)
        if number == 0:
            unit = _unit(family, response, basis, given.offset)
            basis = replace(basis, columns=basis.columns * unit, map=basis.map / unit)
        alone = basis.columns.shape[1] == 1 and given.offset is None
        constant = alone and bool((basis.columns == 1.0).all())
        made.append(Predictor(given.name, basis, given.dropped, given.offset, first, constant))
        first += basis.columns.shape[1]
        # terms of two predictors never share a grouping factor, even of one name
        random += [replace(t, factor=number + len(predictors) * t.factor) for t in given.random]
        owner += [number] * len(given.random)
    terms, groupings = group_terms(random)
    place = dict(zip((t.grouping for t in terms), owner, strict=True))
    units = [1.0 if place[f] else unit for f in range(len(groupings))]
    terms = tuple(replace(t, map=t.map / units[t.grouping]) for t in terms)
    groupings = tuple(
        replace(g, values=g.values * u) for g, u in zip(groupings, units, strict=True)
    )
    n = len(predictors[0].X)
    products = crossproducts(groupings, np.empty((n, 0)), np.zeros(n))
    return GeneralProblem(
        family=family,
        response=response,
        weights=weights,
        predictors=tuple(made),
        terms=terms,
        groupings=groupings,
        predictor=tuple(place[f] for f in range(len(groupings))),
        plan=analyse(products, [g.relationship is not None for g in groupings]),
        n_rows=n,
        n_parameters=sum(t.covariance.n_parameters for t in terms),
        n_fixed=first,
        quadrature=quadrature,
    )


def _unit(
    family: AbstractFamily, response: Response, basis: FixedBasis, offset: Floats | None
) -> float:
    """What the coefficients of the conditional predictor are measured in: its spread.

    Where the link has no unit of its own, they would be as large as the response happens to be.
    """
    if family.link not in MEASURED:
        return 1.0
    eta = family.initial_eta(response)
    eta = eta if offset is None else eta - offset
    columns = basis.columns
    fitted = columns @ np.linalg.lstsq(columns.T @ columns, columns.T @ eta)[0]
    spread, size = float(np.std(eta - fitted)), float(np.abs(eta).max(initial=0.0))
    return spread if spread > 1e-10 * size else max(size, 1e-300) if size else 1.0


def weighted_gram(problem: GeneralProblem, weights: Mapping[tuple[int, int], Floats]) -> Floats:
    """X'WX (p, p) for the X of all predictors and W (n,) by pair of them."""
    gram = np.zeros((problem.n_fixed,) * 2)
    for (a, b), w in weights.items():
        one, other = problem.predictors[a], problem.predictors[b]
        own = np.zeros((one.basis.columns.shape[1], other.basis.columns.shape[1]))
        for start in range(0, problem.n_rows, BLOCK):
            rows = slice(start, start + BLOCK)
            own += one.basis.columns[rows].T @ (other.basis.columns[rows] * w[rows, None])
        gram[one.coefficients, other.coefficients] = own
        gram[other.coefficients, one.coefficients] = own.T
    return gram


def linear_predictors(problem: GeneralProblem, beta: Floats, b: Floats) -> tuple[Floats, ...]:
    """η (n,) of each predictor, from ``beta`` (p,) and ``b`` (q,) in the plan's order."""
    eta = []
    for p in problem.predictors:
        fixed = p.basis.columns @ beta[p.coefficients]
        eta.append(fixed if p.offset is None else fixed + p.offset)
    for f, (g, a) in enumerate(zip(problem.groupings, problem.predictor, strict=True)):
        own = b[columns_of(problem.plan, f)]
        eta[a] = eta[a] + np.einsum("nk,nk->n", g.values, own[g.codes])
    return tuple(eta)
