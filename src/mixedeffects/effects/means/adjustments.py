"""Adjustments of p values and limits for several tests at once, one class a method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mixedeffects.effects.means.distributions import (
    LargestT,
    product_loadings,
    product_tail,
    range_tail,
)
from mixedeffects.errors import ModelError, suggestion

Floats = NDArray[np.float64]
# of statistics (m,) and their df (m,)
Tail = Callable[[Floats, Floats], Floats]
Side = Literal["two-sided", "greater", "less"]
Name = Literal[
    "none", "tukey", "dunnett", "mvt", "sidak", "bonferroni", "holm", "bh", "scheffe"
]  # fmt: skip


@dataclass(frozen=True)
class Family:
    """Tests that are adjusted together.

    Attributes
    ----------
    df : ndarray, shape (m,)
    covariance : ndarray, shape (m, m)
        Of the estimates.
    n_means : int
        How many means are compared.
    """

    df: Floats
    covariance: Floats
    n_means: int

    @cached_property
    def correlation(self) -> Floats:
        se = np.sqrt(np.diagonal(self.covariance))
        correlation: Floats = self.covariance / np.outer(se, se)
        return correlation

    @cached_property
    def largest(self) -> Tail:
        """Tail of the largest of their |t|."""
        return _largest(self.correlation, two_sided=True)

    @cached_property
    def rank(self) -> int:
        return int(np.linalg.matrix_rank(self.correlation, tol=1e-8, hermitian=True))


class AbstractAdjustment(ABC):
    """A method of adjusting.

    Attributes
    ----------
    label : str
        As a note says it.
    one_sided : bool
        Whether it applies to one-sided tests.
    """

    label: ClassVar[str]
    one_sided: ClassVar[bool] = True

    @abstractmethod
    def p_values(self, t: Floats, family: Family, side: Side) -> Floats:
        """Adjusted p values (m,) of t statistics (m,)."""

    @abstractmethod
    def multipliers(self, level: float, family: Family) -> Floats:
        """Standard errors (m,) on either side of the estimates that cover all together."""


def tail(t: Floats, df: Floats, side: Side) -> Floats:
    """P value (m,) of each statistic alone; a df of infinity is the normal's."""
    from scipy.special import ndtr, stdtr

    below = {"two-sided": -np.abs(t), "greater": -t, "less": t}[side]
    finite = np.isfinite(df)
    p: Floats = np.where(finite, stdtr(np.where(finite, df, 1.0), below), ndtr(below))
    return 2.0 * p if side == "two-sided" else p


def two_sided_quantile(level: float | Floats, df: Floats) -> Floats:
    """Quantile (m,) of |t|."""
    from scipy.special import ndtri, stdtrit

    upper = 0.5 + 0.5 * np.broadcast_to(level, df.shape)
    finite = np.isfinite(df)
    q: Floats = np.where(finite, stdtrit(np.where(finite, df, 1.0), upper), ndtri(upper))
    return q


class Unadjusted(AbstractAdjustment):
    label = "not adjusted for the number of tests"

    def p_values(self, t: Floats, family: Family, side: Side) -> Floats:
        return tail(t, family.df, side)

    def multipliers(self, level: float, family: Family) -> Floats:
        return two_sided_quantile(level, family.df)


class Bonferroni(AbstractAdjustment):
    label = "adjusted by Bonferroni's method"

    def p_values(self, t: Floats, family: Family, side: Side) -> Floats:
        return np.minimum(len(t) * tail(t, family.df, side), 1.0)

    def multipliers(self, level: float, family: Family) -> Floats:
        return two_sided_quantile(1.0 - (1.0 - level) / len(family.df), family.df)


class Holm(Bonferroni):
    """Steps down (Holm 1979, Scand. J. Stat. 6: 65); limits are Bonferroni's."""

    label = "adjusted by Holm's method, limits by Bonferroni's"

    def p_values(self, t: Floats, family: Family, side: Side) -> Floats:
        p = tail(t, family.df, side)
        order = np.argsort(p, kind="stable")
        stepped = np.maximum.accumulate(np.arange(len(p), 0, -1) * p[order])
        return _back(np.minimum(stepped, 1.0), order)


class BenjaminiHochberg(Bonferroni):
    """The false discovery rate (1995, J. R. Stat. Soc. B 57: 289); limits are Bonferroni's."""

    label = "adjusted by Benjamini and Hochberg's method, limits by Bonferroni's"

    def p_values(self, t: Floats, family: Family, side: Side) -> Floats:
        p = tail(t, family.df, side)
        order = np.argsort(-p, kind="stable")
        stepped = np.minimum.accumulate(len(p) / np.arange(len(p), 0, -1) * p[order])
        return _back(np.minimum(stepped, 1.0), order)


class Sidak(AbstractAdjustment):
    label = "adjusted by Šidák's method"

    def p_values(self, t: Floats, family: Family, side: Side) -> Floats:
        p: Floats = -np.expm1(len(t) * np.log1p(-tail(t, family.df, side)))
        return p

    def multipliers(self, level: float, family: Family) -> Floats:
        return two_sided_quantile(level ** (1.0 / len(family.df)), family.df)


class Scheffe(AbstractAdjustment):
    """For all contrasts that the tests span (Scheffé 1953, Biometrika 40: 87)."""

    label = "adjusted by Scheffé's method"
    one_sided = False

    def p_values(self, t: Floats, family: Family, side: Side) -> Floats:
        from scipy.special import chdtrc, fdtrc

        r, df = family.rank, family.df
        finite = np.isfinite(df)
        squares = t**2
        p: Floats = np.where(
            finite, fdtrc(r, np.where(finite, df, 1.0), squares / r), chdtrc(r, squares)
        )
        return p

    def multipliers(self, level: float, family: Family) -> Floats:
        return _solved(
            lambda c, df: self.p_values(c, Family(df, family.covariance, 0), "two-sided"),
            level,
            family,
        )


class Tukey(AbstractAdjustment):
    """Of all pairwise comparisons (Tukey; Kramer 1956, Biometrics 12: 307, for unequal ones)."""

    label = "adjusted by Tukey's method"
    one_sided = False

    def p_values(self, t: Floats, family: Family, side: Side) -> Floats:
        tails = range_tail(np.sqrt(2.0) * np.abs(t), family.n_means, family.df)
        return _bounded(tails, t, family.df, side, len(t))

    def multipliers(self, level: float, family: Family) -> Floats:
        return _solved(
            lambda c, df: range_tail(np.sqrt(2.0) * c, family.n_means, df), level, family
        )


class LargestOfAll(AbstractAdjustment):
    """The joint distribution of the statistics themselves, whatever their correlations.

    Exact by quadrature where these are products, as for treatments against a control
    (Dunnett 1955); otherwise to better than 1e-4. Each statistic has its own degrees of freedom.
    """

    label = "adjusted by the multivariate t distribution"

    def p_values(self, t: Floats, family: Family, side: Side) -> Floats:
        c = {"two-sided": np.abs(t), "greater": t, "less": -t}[side]
        two_sided = side == "two-sided"
        largest = family.largest if two_sided else _largest(family.correlation, two_sided)
        return _bounded(largest(c, family.df), t, family.df, side, len(t))

    def multipliers(self, level: float, family: Family) -> Floats:
        return _solved(family.largest, level, family)


class Dunnett(LargestOfAll):
    label = "adjusted by Dunnett's method"


ADJUSTMENTS: Mapping[str, AbstractAdjustment] = MappingProxyType(
    dict(
        zip(
            get_args(Name),
            (
                *(Unadjusted(), Tukey(), Dunnett(), LargestOfAll(), Sidak()),
                *(Bonferroni(), Holm(), BenjaminiHochberg(), Scheffe()),
            ),
            strict=True,
        )
    )
)


def adjustment(name: str, kind: str, side: Side = "two-sided") -> AbstractAdjustment:
    """The method of a name, for comparisons of a kind (``"pairwise"``, ``"treatment"``, …).

    Raises
    ------
    ModelError
        If there is no such method, or it does not apply to these tests.
    """
    if name not in ADJUSTMENTS:
        known = ", ".join(map(repr, ADJUSTMENTS))
        raise ModelError(
            f"adjust={name!r} is not one of {known}.{suggestion(str(name), ADJUSTMENTS)}"
        )
    for own, kinds, what in (
        ("tukey", ("pairwise", "revpairwise"), "all pairwise comparisons"),
        ("dunnett", ("treatment",), "comparisons with a control"),
    ):
        if name == own and kind not in kinds:
            raise ModelError(
                f"adjust={name!r} is for {what}, and these are others. adjust='mvt' is exact for"
                " any."
            )
    found = ADJUSTMENTS[name]
    if side != "two-sided" and not found.one_sided:
        raise ModelError(
            f"adjust={name!r} is for two-sided tests. For side={side!r} use 'mvt', which is exact."
        )
    return found


def _largest(correlation: Floats, two_sided: bool) -> Tail:
    loadings = product_loadings(correlation)
    if loadings is None:
        return LargestT(correlation, two_sided).tail
    known = loadings
    return lambda c, df: product_tail(c, known, df, two_sided)


def _bounded(p: Floats, t: Floats, df: Floats, side: Side, count: int) -> Floats:
    """P values within what they are between in any case: that of one test, and Bonferroni's."""
    alone = tail(t, df, side)
    return np.clip(p, alone, np.minimum(count * alone, 1.0))


def _solved(tails: Tail, level: float, family: Family) -> Floats:
    """Where the tail is 1 − level, for each df (m,): regula falsi, Illinois' variant, on logs."""
    df, which = np.unique(np.round(family.df, 8), return_inverse=True)

    def excess(c: Floats) -> Floats:
        beyond: Floats = np.log(np.maximum(tails(c, df), 1e-300) / (1.0 - level))
        return beyond

    inner = two_sided_quantile(level, df)  # of one test alone
    outer = 2.0 * inner
    while (excess(outer) > 0.0).any():
        outer = 2.0 * outer
    f_inner, f_outer = excess(inner), excess(outer)
    for _ in range(100):
        c = (outer * f_inner - inner * f_outer) / (f_inner - f_outer)
        f = excess(c)
        if np.abs(f).max() < 1e-10:
            break
        same = (f > 0.0) == (f_outer > 0.0)
        inner, f_inner = np.where(same, inner, outer), np.where(same, 0.5 * f_inner, f_outer)
        outer, f_outer = c, f
    result: Floats = c[which]
    return result


def _back(values: Floats, order: NDArray[np.intp]) -> Floats:
    result = np.empty_like(values)
    result[order] = values
    return result
