"""Random small designs of every kind of grouping, for the tests that need a model to hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import oracle
from mixedeffects.covariance import build
from mixedeffects.fitting.problem import TermArrays


def codes_of(kind: str, rng: np.random.Generator) -> list[np.ndarray]:
    """Levels of the rows (n,), one array a grouping factor, every level of it occurring."""
    if kind == "one":
        return [compact(rng.integers(0, 9, 60))]
    if kind == "nested":
        inner = np.arange(72) // 3
        return [inner, inner // 4]
    if kind == "nested four deep":
        leaf = np.arange(96) // 3
        return [leaf, leaf // 2, leaf // 6, compact(leaf // 16)]
    if kind == "crossed":
        return [np.repeat(np.arange(8), 7), np.tile(np.arange(7), 8)]
    if kind == "three crossed":
        return [compact(rng.integers(0, size, 90)) for size in (11, 7, 4)]
    if kind == "five crossed":
        return [compact(rng.integers(0, size, 120)) for size in (9, 7, 5, 4, 3)]
    if kind == "partially crossed":
        first = np.repeat(np.arange(20), 4)
        second = (first // 2 + np.tile([0, 0, 1, 3], 20)) % 12
        return [first, compact(second)]
    raise ValueError(kind)


KINDS = (
    "one",
    "nested",
    "nested four deep",
    "crossed",
    "three crossed",
    "five crossed",
    "partially crossed",
)


def compact(codes: np.ndarray) -> np.ndarray:
    return np.unique(codes, return_inverse=True)[1]


def relationship(n_levels: int, rng: np.random.Generator) -> np.ndarray:
    """A covariance (L, L) between levels."""
    root = rng.normal(size=(n_levels, n_levels))
    return root @ root.T / n_levels + np.eye(n_levels)


@dataclass(frozen=True)
class Spec:
    """A random term: structure, k columns, the grouping factor's number, K's presence."""

    structure: str
    k: int
    factor: int
    known: bool = False


@dataclass(frozen=True)
class Model:
    """Arrays of a mixed model, as the package and as the oracle take them."""

    y: np.ndarray
    X: np.ndarray
    terms: tuple[TermArrays, ...]
    weights: np.ndarray | None
    offset: np.ndarray | None

    @property
    def response(self) -> np.ndarray:
        return self.y if self.offset is None else self.y - self.offset

    @property
    def n_parameters(self) -> int:
        return sum(term.covariance.n_parameters for term in self.terms)

    def split(self, theta: np.ndarray) -> list[np.ndarray]:
        ends = np.cumsum([t.covariance.n_parameters for t in self.terms])
        return np.split(theta, ends[:-1])

    def oracle_terms(self, theta: np.ndarray) -> list[oracle.Term]:
        """Terms of the oracle at θ in the columns' own units."""
        return [
            oracle.Term(t.values, t.codes, t.covariance.factor(own), t.n_levels, t.relationship)
            for t, own in zip(self.terms, self.split(theta), strict=True)
        ]

    def objective(self, theta: np.ndarray, reml: bool) -> float:
        return float(
            oracle.objective(
                self.y,
                self.X,
                self.oracle_terms(theta),
                weights=self.weights,
                offset=self.offset,
                reml=reml,
            )
        )


def make_model(
    kind: str,
    specs: Sequence[Spec],
    seed: int = 0,
    *,
    weighted: bool = False,
    offset: bool = False,
    plain: bool = False,
) -> Model:
    """A model with random effects of variance near one; ``plain``: columns of unit size."""
    rng = np.random.default_rng(seed)
    codes = codes_of(kind, rng)
    n = len(codes[0])
    X = np.column_stack([np.ones(n), rng.normal(2.0, 1.5, n), rng.uniform(-1, 3, n)])
    terms, signal = [], X @ [1.0, -0.5, 0.25]
    known: dict[int, np.ndarray] = {}
    for number, spec in enumerate(specs):
        own = codes[spec.factor].astype(np.int32)
        n_levels = int(own.max()) + 1
        if spec.known:
            known[spec.factor] = relationship(n_levels, rng)
        values, intercept = _values(spec, n, rng, plain)
        b = rng.normal(size=(n_levels, spec.k)) @ (0.4 * np.eye(spec.k) + 0.3)
        signal = signal + np.einsum("ij,ij->i", values, b[own])
        terms.append(
            TermArrays(
                values,
                own,
                n_levels,
                build(spec.structure, spec.k),
                intercept,
                1000 + number if spec.known else spec.factor,
                known.get(spec.factor) if spec.known else None,
            )
        )
    weights = rng.uniform(0.3, 3.0, n) if weighted else None
    noise = rng.normal(size=n) / np.sqrt(1.0 if weights is None else weights)
    shift = rng.normal(10.0, 2.0, n) if offset else None
    y = signal + noise + (0.0 if shift is None else shift)
    return Model(y, X, tuple(terms), weights, shift)


def _values(
    spec: Spec, n: int, rng: np.random.Generator, plain: bool
) -> tuple[np.ndarray, int | None]:
    """Covariates (n, k) that suit the structure, and the column of ones."""
    if spec.structure in ("us", "diag", "known"):
        values = rng.normal(0.5, 1.0, (n, spec.k))
        values[:, 0] = 1.0
        return values, 0
    if plain or spec.k == 1:
        return np.ones((n, spec.k)) if spec.k == 1 else rng.normal(size=(n, spec.k)), None
    return np.eye(spec.k)[rng.integers(0, spec.k, n)], None
