"""Values carried together with the exact partial derivatives that a Laplace fit asks for.

A density is written once, as a formula; arithmetic on jets differentiates it by the chain rule
(truncated multivariate Taylor arithmetic, forward mode, third order). Only those derivatives are
carried that were asked for, and none that are identically zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations, combinations_with_replacement, product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Key = tuple[int, ...]
"""Which predictors a function is differentiated by, sorted; the empty key is its value."""
Partials = dict[Key, Array]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The derivatives that are needed: those up to ``order``, as far as random effects ask.

    Attributes
    ----------
    order : int
        0 (the value alone) to 3.
    curved : tuple of int
        Predictors that carry random effects. All but one of the predictors that a derivative is
        taken by are among them.
    """

    order: int
    curved: tuple[int, ...] = (0,)

    def __contains__(self, key: Key) -> bool:
        return len(key) <= self.order and sum(i in self.curved for i in key) >= len(key) - 1

    def pick(self, formulas: Mapping[Key, Callable[[], Array]]) -> Partials:
        """The wanted ones of the formulas, evaluated."""
        return {key: formula() for key, formula in formulas.items() if key in self}


@lru_cache
def wanted_keys(wanted: Wanted, n_predictors: int) -> tuple[Key, ...]:
    """Keys of the wanted derivatives, short ones first; the value is not among them."""
    return tuple(
        key
        for length in range(1, wanted.order + 1)
        for key in combinations_with_replacement(range(n_predictors), length)
        if key in wanted
    )


@lru_cache
def splits(key: Key) -> tuple[tuple[Key, Key], ...]:
    """All ways to deal the derivatives of a key out to two factors (Leibniz), with repeats."""
    places = range(len(key))
    return tuple(
        (
            tuple(key[i] for i in chosen),
            tuple(key[i] for i in places if i not in chosen),
        )
        for size in range(len(key) + 1)
        for chosen in combinations(places, size)
    )


@lru_cache
def partitions(key: Key) -> tuple[tuple[Key, ...], ...]:
    """All partitions of a key into non-empty blocks (Faà di Bruno), with repeats."""
    if len(key) == 1:
        return ((key,),)
    first, rest = key[0], key[1:]
    found: list[tuple[Key, ...]] = []
    for blocks in partitions(rest):
        found.append(((first,), *blocks))
        for i, block in enumerate(blocks):
            found.append((*blocks[:i], (first, *block), *blocks[i + 1 :]))
    return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class Jet:
    """A function of several predictors at a point, row by row.

    Attributes
    ----------
    value : array
    wanted : Wanted
    n_predictors : int
    terms : dict of key to array
        Partial derivatives that are not identically zero. Shapes broadcast.
    """

    __array_ufunc__ = None  # leaves array * Jet to Jet.__rmul__

    value: Array
    wanted: Wanted
    n_predictors: int
    terms: Partials = field(default_factory=dict)

    def with_terms(self, value: Array, terms: Partials) -> Jet:
        return Jet(value, self.wanted, self.n_predictors, terms)

    def _keys(self) -> tuple[Key, ...]:
        return wanted_keys(self.wanted, self.n_predictors)

    def compose(self, function: Callable[[Array, int], tuple[Array, ...]]) -> Jet:
        """f(self), where ``function(x, order)`` gives f and its derivatives up to that order."""
        slopes = function(self.value, self.wanted.order)
        terms: Partials = {}
        for key in self._keys():
            parts = [
                _product(slopes[len(blocks)], *(self.terms[b] for b in blocks))
                for blocks in partitions(key)
                if all(b in self.terms for b in blocks)
            ]
            if parts:
                terms[key] = total(parts)
        return self.with_terms(slopes[0], terms)

    def __add__(self, other: Jet | Array | float) -> Jet:
        if not isinstance(other, Jet):
            return self.with_terms(self.value + other, self.terms)
        terms = dict(self.terms)
        for key, term in other.terms.items():
            terms[key] = terms[key] + term if key in terms else term
        return self.with_terms(self.value + other.value, terms)

    __radd__ = __add__

    def __mul__(self, other: Jet | Array | float) -> Jet:
        if not isinstance(other, Jet):
            terms = {key: term * other for key, term in self.terms.items()}
            return self.with_terms(self.value * other, terms)
        return self.with_terms(self.value * other.value, dict(_products(self, other)))

    __rmul__ = __mul__

    def __neg__(self) -> Jet:
        return self * -1.0

    def __sub__(self, other: Jet | Array | float) -> Jet:
        return self + -other

    def __rsub__(self, other: Array | float) -> Jet:
        return -self + other

    def sum(self, axis: int) -> Jet:
        """Sum along an axis of the value; derivatives that broadcast along it are spread first."""
        shape = self.value.shape
        terms = {k: np.broadcast_to(t, shape).sum(axis) for k, t in self.terms.items()}
        return self.with_terms(self.value.sum(axis), terms)

    def take(self, rows: NDArray[np.intp]) -> Jet:
        """The given rows."""
        n = len(self.value)
        terms = {k: np.broadcast_to(t, n)[rows] for k, t in self.terms.items()}
        return self.with_terms(self.value[rows], terms)

    def partials(self) -> Partials:
        return {(): self.value, **self.terms}


def _products(a: Jet, b: Jet) -> Iterator[tuple[Key, Array]]:
    for key in a._keys():
        parts = [
            (a.value if not left else a.terms[left]) * (b.value if not right else b.terms[right])
            for left, right in splits(key)
            if (not left or left in a.terms) and (not right or right in b.terms)
        ]
        if parts:
            yield key, total(parts)


def _product(first: Array, *others: Array) -> Array:
    for other in others:
        first = first * other
    return first


def total(parts: list[Array]) -> Array:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def variables(point: tuple[Array, ...], wanted: Wanted) -> tuple[Jet, ...]:
    """The predictors themselves."""
    one = np.float64(1.0)
    first: list[Partials] = [
        {(i,): np.asarray(one)} if wanted.order else {} for i in range(len(point))
    ]
    return tuple(
        Jet(value, wanted, len(point), terms) for value, terms in zip(point, first, strict=True)
    )


def from_partials(partials: Partials, wanted: Wanted, n_predictors: int) -> Jet:
    """A jet of derivatives that are known."""
    terms = {key: term for key, term in partials.items() if key}
    return Jet(partials[()], wanted, n_predictors, terms)


def exp(x: Jet) -> Jet:
    e = np.exp(x.value)
    return x.compose(lambda _, order: (e,) * (order + 1))


def log(x: Jet) -> Jet:
    def slopes(v: Array, order: int) -> tuple[Array, ...]:
        r = 1.0 / v
        return (np.log(v), r, -r * r, 2.0 * r * r * r)[: order + 1]

    return x.compose(slopes)


def reciprocal(x: Jet) -> Jet:
    def slopes(v: Array, order: int) -> tuple[Array, ...]:
        r = 1.0 / v
        return (r, -r * r, 2.0 * r**3, -6.0 * r**4)[: order + 1]

    return x.compose(slopes)


def compose_many(partials: Partials, inner: tuple[Jet, ...]) -> Jet:
    """f(inner…), given f and its partial derivatives by each of its arguments (Faà di Bruno)."""
    outer = inner[0]
    terms: Partials = {}
    for key in wanted_keys(outer.wanted, outer.n_predictors):
        parts = [
            _product(partials[tuple(sorted(chosen))], *factors)
            for blocks in partitions(key)
            for chosen in product(range(len(inner)), repeat=len(blocks))
            if tuple(sorted(chosen)) in partials
            and all(b in inner[i].terms for i, b in zip(chosen, blocks, strict=True))
            for factors in [[inner[i].terms[b] for i, b in zip(chosen, blocks, strict=True)]]
        ]
        if parts:
            terms[key] = total(parts)
    return outer.with_terms(partials[()], terms)


def scatter(n: int, groups: list[tuple[NDArray[np.intp], Partials]]) -> Partials:
    """Partial derivatives of n rows, known by groups of rows; zero where a group lacks a key."""
    keys = {key: None for _, found in groups for key in found}
    spread: Partials = {}
    for key in keys:
        values = np.zeros(n)
        for rows, found in groups:
            if key in found:
                values[rows] = found[key]
        spread[key] = values
    return spread
