"""Small designs with a known truth, and responses drawn from them.

Fixed effects are zero, so that every hypothesis about them is true; σ is one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Coefficients ``terms`` are zero; ``reduced`` is the fixed part without them."""

    label: str
    terms: tuple[str, ...]
    reduced: str


@dataclass(frozen=True, slots=True)
class Effect:
    """Random effects: rows' groups ``index`` (n,), their columns Z (n, k), Σ = root·root'."""

    index: Integers
    Z: Floats
    root: Floats

    def draw(self, random: np.random.Generator, sets: int) -> Floats:
        """Zb (n, sets)."""
        k = len(self.root)
        b = random.normal(size=(self.index.max() + 1, sets, k)) @ self.root.T
        drawn: Floats = np.einsum("nk,nsk->ns", self.Z, b[self.index])
        return drawn


@dataclass(frozen=True, slots=True)
class Design:
    """A model ``fixed + random``, its data without the response, and its truth."""

    structure: str
    groups: int
    balanced: bool
    fixed: str
    random: str
    data: Mapping[str, NDArray[np.generic]]
    effects: tuple[Effect, ...]
    hypotheses: tuple[Hypothesis, ...]

    @property
    def rows(self) -> int:
        return len(self.effects[0].index)

    def formula(self, fixed: str | None = None, random: str | None = None) -> str:
        return f"y ~ {fixed or self.fixed} + {random or self.random}"

    def responses(self, random: np.random.Generator, sets: int) -> Floats:
        """Responses (n, sets), drawn from the truth."""
        noise: Floats = random.normal(size=(self.rows, sets))
        return noise + sum(effect.draw(random, sets) for effect in self.effects)


def letters(codes: Integers) -> NDArray[np.str_]:
    return np.array(list("abc"))[codes]


def intercepts(index: Integers, sd: float) -> Effect:
    return Effect(index, np.ones((len(index), 1)), np.array([[sd]]))


def one_factor(groups: int, balanced: bool, sd: float = 1.0) -> Design:
    """Three treatments of whole groups, a covariate that varies within; 6 or 2 to 12 rows each."""
    random = np.random.default_rng(groups)
    sizes = np.resize([6] if balanced else [4, 12, 2, 6, 9, 3], groups)
    g = np.repeat(np.arange(groups), sizes)
    a = g % 3
    data = {
        "g": g,
        "a": letters(a),
        "without_b": letters(np.where(a == 1, 0, a)),
        "x": random.normal(size=len(g)),
    }
    return Design(
        f"one factor, its standard deviation {sd:g}",
        groups,
        balanced,
        "a + x",
        "(1 | g)",
        data,
        (intercepts(g, sd),),
        (
            Hypothesis("treatment of groups, t", ("a[T.b]",), "without_b + x"),
            Hypothesis("treatments of groups, F", ("a[T.b]", "a[T.c]"), "x"),
            Hypothesis("covariate within groups, t", ("x",), "a"),
        ),
    )


def one_factor_weak(groups: int, balanced: bool) -> Design:
    return one_factor(groups, balanced, sd=0.3)


def slopes(groups: int, balanced: bool) -> Design:
    """Growth over 6 visits, or over the first 3 to 6; two treatments of whole groups."""
    sizes = np.resize([6] if balanced else [6, 4, 3, 5], groups)
    g = np.repeat(np.arange(groups), sizes)
    x = np.concatenate([np.arange(size) for size in sizes]) - 2.5
    data = {"g": g, "b": letters(g % 2), "x": x}
    root = np.linalg.cholesky(np.array([[1.0, 0.15], [0.15, 0.25]]))
    return Design(
        "random slopes",
        groups,
        balanced,
        "b * x",
        "(x | g)",
        data,
        (Effect(g, np.column_stack([np.ones(len(x)), x]), root),),
        (
            Hypothesis("treatment by slope, t", ("b[T.b]:x",), "b + x"),
            Hypothesis("treatment and its slope, F", ("b[T.b]", "b[T.b]:x"), "x"),
        ),
    )


def nested(groups: int, balanced: bool) -> Design:
    """A split plot: 3 plots with 3 rows in each group, or two thirds of these rows."""
    cells = np.array(list(np.ndindex(groups, 3, 3)))
    if not balanced:
        random = np.random.default_rng(groups)
        cells = cells[np.sort(random.permutation(len(cells))[: 2 * len(cells) // 3])]
    g, plot, _ = cells.T
    data = {"g": g, "plot": plot, "a": letters(plot), "b": letters(g % 2)}
    return Design(
        "nested",
        groups,
        balanced,
        "a + b",
        "(1 | g/plot)",
        data,
        (intercepts(g, 1.0), intercepts(3 * g + plot, 0.7)),
        (
            Hypothesis("treatment of groups, t", ("b[T.b]",), "a"),
            Hypothesis("treatments of plots, F", ("a[T.b]", "a[T.c]"), "b"),
        ),
    )


def crossed(groups: int, balanced: bool) -> Design:
    """Subjects by 8 items, every cell or two thirds; conditions cross both."""
    cells = np.array(list(np.ndindex(groups, 8)))
    random = np.random.default_rng(groups)
    z = random.normal(size=8)
    if not balanced:
        cells = cells[np.sort(random.permutation(len(cells))[: 2 * len(cells) // 3])]
    subject, item = cells.T
    data = {
        "subject": subject,
        "item": item,
        "a": letters((subject + item) % 3),
        "b": letters(subject % 2),
        "z": z[item],
    }
    return Design(
        "crossed with 8 items",
        groups,
        balanced,
        "a + b + z",
        "(1 | subject) + (1 | item)",
        data,
        (intercepts(subject, 1.0), intercepts(item, 0.7)),
        (
            Hypothesis("treatment of subjects, t", ("b[T.b]",), "a + z"),
            Hypothesis("conditions within both, F", ("a[T.b]", "a[T.c]"), "b + z"),
            Hypothesis("covariate of items, t", ("z",), "a + b"),
        ),
    )


MAKERS: tuple[Callable[[int, bool], Design], ...] = (
    one_factor,
    one_factor_weak,
    slopes,
    nested,
    crossed,
)
GROUPS = (5, 10, 20, 50)
