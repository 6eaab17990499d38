"""Contrasts among estimates of linear functions, and contrasts among these."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.columns import object_array
from mixedeffects.data.frames import make_table
from mixedeffects.effects.means.adjustments import ADJUSTMENTS, adjustment
from mixedeffects.effects.means.averages import names_of
from mixedeffects.effects.means.coefficients import Coefficients, coefficients
from mixedeffects.effects.means.linear import (
    AbstractLinear,
    Labels,
    Rows,
    families,
    row_labels,
    texts,
)
from mixedeffects.effects.means.transforms import BackTransform
from mixedeffects.errors import ModelError, suggestion
from mixedeffects.inference.wald import check_level

Floats = NDArray[np.float64]

# What each method is adjusted by where nothing else is asked for.
_STANDARD = {
    "pairwise": "tukey",
    "revpairwise": "tukey",
    "treatment": "dunnett",
    "consecutive": "mvt",
    "sum": "bh",
}


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class AbstractComparable(AbstractLinear, ABC):
    """Estimates that can be compared with each other."""

    def contrast(
        self,
        method: Any = "pairwise",
        *,
        ref: Any = None,
        by: str | Sequence[str] | None = None,
        adjust: str | None = None,
        interaction: bool = False,
        level: float | None = None,
    ) -> Contrasts:
        """Contrasts among the estimates of each family.

        Parameters
        ----------
        method
            ``"pairwise"`` (a − b), ``"revpairwise"`` (b − a), ``"treatment"`` (each less the
            reference), ``"consecutive"`` (each less the one before), ``"polynomial"`` (trends
            over equally spaced levels), ``"sum"`` (each less the mean of all); or own
            coefficients: a dict of name to numbers, one an estimate, or to a dict of label to
            number; or a matrix (m, k).
        ref
            The reference for ``"treatment"``, as it is labelled; the first where omitted.
        by
            Columns within whose values to compare; as the estimates are grouped where omitted,
            ``[]`` for all together.
        adjust
            For several tests of one family: ``"none" "tukey" "dunnett" "mvt" "sidak"
            "bonferroni" "holm" "bh" "scheffe"``. Where omitted Tukey's for pairwise,
            Dunnett's for treatment contrasts, ``"mvt"`` for consecutive, ``"bh"`` for
            ``"sum"``, otherwise none. Holm's and ``"bh"`` have no limits of their own:
            Bonferroni's stand in.
        interaction
            Contrasts of each factor multiplied together, ``method`` being of all factors or
            a tuple with one name each.
        level
            Of the intervals; that of the estimates where omitted.

        Raises
        ------
        ModelError
            If coefficients do not fit, or an adjustment does not apply.

        Notes
        -----
        On the response's scale contrasts of logarithms are ratios, those of logits odds ratios;
        those of other transformed responses and other links stay on the model's scale.
        """
        groups = self.by if by is None else tuple(names_of("by", by))
        make = _product if interaction else _single
        sign = "-" if _ratio(self) is None else "/"
        parts = [
            _Part(rows, make(inside, method, ref, sign)) for rows, inside in _compared(self, groups)
        ]
        return _assembled(self, groups, parts, adjust, self.level if level is None else level)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Contrasts(AbstractComparable):
    """Contrasts with tests and intervals, adjusted for their number.

    Attributes
    ----------
    counts : tuple of int
        How many estimates each family compares.
    """

    counts: tuple[int, ...]

    @property
    def table(self) -> Any:
        """``contrast estimate std_error statistic df p_value conf_low conf_high``."""
        return make_table(self.columns(tests=True), self.frame)

    @property
    def notes(self) -> tuple[str, ...]:
        several = max((len(rows) for rows in self.families()), default=0) > 1
        note = f"P values and limits are {ADJUSTMENTS[self.adjust].label}"
        within = f" within each {', '.join(self.by)}" if self.by else ""
        ratios = (f"Estimates are {self.back.target}, 1 for no difference",) if self.back else ()
        adjusted = (note + within if self.adjust != "none" else note,) if several else ()
        return (*self.context, *ratios, *adjusted)

    def compared(self, rows: Rows) -> int:
        place = [int(own[0]) for own in self.families()].index(int(rows[0]))
        return self.counts[place]


@dataclass(frozen=True, slots=True)
class _Part:
    """The contrasts of one family: its rows among the estimates, and their coefficients."""

    rows: Rows
    made: Coefficients


def _compared(of: AbstractLinear, groups: Sequence[str]) -> list[tuple[Rows, Labels]]:
    """Rows of each family of more than one, and the columns by which these differ."""
    for name in groups:
        if name not in of.labels:
            known = ", ".join(map(repr, of.labels)) or "none"
            raise ModelError(
                f"by={name!r} is not a column of the estimates, which have {known}."
                f"{suggestion(name, of.labels)}"
            )
    found = families(of.labels, groups, len(of.L))
    own = [name for name in of.labels if name not in groups]
    return [
        (rows, {name: of.labels[name][rows] for name in own}) for rows in _several(found) or found
    ]


def _several(found: Sequence[Rows]) -> list[Rows]:
    return [rows for rows in found if len(rows) > 1]


def _single(labels: Labels, method: Any, ref: Any, sign: str) -> Coefficients:
    return coefficients(method, row_labels(labels), ref, sign, row_labels(labels, short=True))


def _product(labels: Labels, method: Any, ref: Any, sign: str) -> Coefficients:
    """Contrasts of each column multiplied together."""
    methods = (method,) * len(labels) if isinstance(method, str) else tuple(method)
    if len(methods) != len(labels) or not all(isinstance(m, str) for m in methods):
        raise ModelError(
            f"method={method!r}: interaction contrasts take the name of one method, or one for"
            f" each of {', '.join(labels)}."
        )
    distinct = {name: _distinct(values) for name, values in labels.items()}
    combined = [
        " ".join(row) for row in product(*(row_labels({n: v}) for n, v in distinct.items()))
    ]
    if combined != row_labels(labels):
        raise ModelError("Interaction contrasts need an estimate of every combination.")
    made = [
        _single({name: values}, own, ref, sign)
        for own, (name, values) in zip(methods, distinct.items(), strict=True)
    ]
    names = tuple(" : ".join(row) for row in product(*(m.names for m in made)))
    return Coefficients("interaction", names, reduce(_kronecker, [m.C for m in made]))


def _kronecker(A: Floats, B: Floats) -> Floats:
    result: Floats = np.einsum("ij,kl->ikjl", A, B).reshape(len(A) * len(B), -1)
    return result


def _distinct(values: NDArray[Any]) -> NDArray[Any]:
    first = {text: i for i, text in reversed(list(enumerate(texts(values))))}
    return values[sorted(first.values())]


def _ratio(of: AbstractLinear) -> BackTransform | None:
    return None if of.back is None else of.back.ratio


def _assembled(
    of: AbstractLinear,
    groups: tuple[str, ...],
    parts: Sequence[_Part],
    adjust: str | None,
    level: float,
) -> Contrasts:
    kind = parts[0].made.kind
    chosen = _STANDARD.get(kind, "none") if adjust is None else adjust
    adjustment(chosen, kind)
    check_level(level)
    sources = np.concatenate([np.repeat(p.rows[0], len(p.made.C)) for p in parts])
    names = object_array(name for p in parts for name in p.made.names)
    rest = [
        name
        for p in parts
        for name, row in zip(p.made.names, p.made.C, strict=True)
        if abs(row.sum()) > 1e-10 * np.abs(row).sum()
    ]
    ratio = _ratio(of) if not rest else None
    return Contrasts(
        labels={**{name: of.labels[name][sources] for name in groups}, "contrast": names},
        by=groups,
        L=np.vstack([p.made.C @ of.L[p.rows] for p in parts]),
        constant=np.concatenate([p.made.C @ of.constant[p.rows] for p in parts]),
        freedom=of.freedom,
        level=level,
        back=ratio,
        adjust=chosen,
        kind=kind,
        frame=of.frame,
        context=(*of.context, *_remarks(of, parts, ratio, rest)),
        counts=tuple(len(p.rows) for p in parts),
    )


def _remarks(
    of: AbstractLinear, parts: Sequence[_Part], ratio: BackTransform | None, rest: Sequence[str]
) -> Iterator[str]:
    if rest:
        shown = ", ".join(dict.fromkeys(rest))
        yield f"Coefficients that do not sum to zero, so no comparison: {shown}"
    alone = set(range(len(of.L))) - set(np.concatenate([p.rows for p in parts]).tolist())
    if alone:
        rows = sorted(alone)
        labels = row_labels({name: values[rows] for name, values in of.labels.items()})
        yield f"With nothing to compare in its family, left out: {'; '.join(labels)}"
    if of.back is not None and ratio is None:
        yield "Contrasts are on the model's scale: these differences have no way back from it"
