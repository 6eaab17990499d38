"""Which categorical factors of which terms are coded by contrasts, so that nothing is redundant.

The rule is that of S, R and formulaic in its structural form: a categorical
factor spans the constant and its contrasts; a term adds what no earlier term
has spanned, and ``x:contrasts + x`` is written as ``x:indicators``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import product

__all__ = ["Piece", "code_terms"]

# factors of a product of columns, each with whether its contrasts (True) or all its columns serve
Piece = tuple[tuple[str, bool], ...]


def code_terms(terms: Sequence[Sequence[str]], categorical: Collection[str]) -> list[list[Piece]]:
    """Pieces whose columns make up each term.

    Parameters
    ----------
    terms : sequence of sequences of str
        Names of the factors of each term.
    categorical : collection of str
        Those that are categorical.

    Examples
    --------
    >>> code_terms([(), ("f",), ("f", "x")], {"f"})
    [[()], [(('f', True),)], [(('f', False), ('x', False))]]
    """
    spanned: set[frozenset[tuple[str, bool]]] = set()
    coded = []
    for term in terms:
        span = _span(term, categorical)
        new = [piece for piece in span if frozenset(piece) not in spanned]
        spanned.update(frozenset(piece) for piece in span)
        coded.append(_simplify(new))
    return coded


def _span(term: Sequence[str], categorical: Collection[str]) -> list[Piece]:
    choices: list[tuple[Piece, ...]] = [
        (((name, True),), ()) if name in categorical else (((name, False),),) for name in term
    ]
    return [tuple(part for choice in chosen for part in choice) for chosen in product(*choices)]


def _simplify(pieces: list[Piece]) -> list[Piece]:
    """Merge ``rest:contrasts`` with ``rest`` into ``rest:indicators`` as long as possible."""
    kept: list[Piece] = []
    for piece in sorted(pieces, key=len):
        for i, other in enumerate(kept):
            extra = [part for part in piece if part not in other]
            if len(piece) - 1 == len(other) and len(extra) == 1 and extra[0][1]:
                whole = tuple((p[0], False) if p == extra[0] else p for p in piece)
                kept = _simplify([*kept[:i], *kept[i + 1 :], whole])
                break
        else:
            kept.append(piece)
    return kept
