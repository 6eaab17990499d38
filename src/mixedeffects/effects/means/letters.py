"""Compact letter displays: estimates that share a letter do not differ significantly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from string import ascii_lowercase


def letter_groups(count: int, differing: Iterable[tuple[int, int]]) -> list[set[int]]:
    """Sets of estimates without a differing pair, such that all other pairs share a set.

    Insert and absorb, of Piepho (2004, J. Comput. Graph. Stat. 13: 456).

    Examples
    --------
    >>> letter_groups(3, [(0, 2)])
    [{0, 1}, {1, 2}]
    """
    groups = [set(range(count))]
    for first, second in differing:
        split: list[set[int]] = []
        for group in groups:
            both = {first, second} <= group
            split += [group - {second}, group - {first}] if both else [group]
        groups = [g for i, g in enumerate(split) if not _absorbed(g, i, split)]
    return sorted(groups, key=sorted)


def _absorbed(group: set[int], place: int, groups: Sequence[set[int]]) -> bool:
    """Whether another group holds all of it; of equal ones the first stays."""
    return any(
        group < other or (group == other and i < place)
        for i, other in enumerate(groups)
        if i != place
    )


def letters(order: Sequence[int], differing: Iterable[tuple[int, int]]) -> list[str]:
    """The letters of each estimate, ``a`` with the first in the order.

    Examples
    --------
    >>> letters([2, 0, 1], [(1, 2)])
    ['ab', 'b', 'a']
    """
    place = {estimate: i for i, estimate in enumerate(order)}
    pairs = [(place[i], place[j]) for i, j in differing]
    groups = letter_groups(len(order), pairs)
    names = _names(len(groups))
    return [
        "".join(name for name, group in zip(names, groups, strict=True) if place[i] in group)
        for i in range(len(order))
    ]


def _names(count: int) -> list[str]:
    """Letters, then letters with numbers."""
    if count <= len(ascii_lowercase):
        return list(ascii_lowercase[:count])
    turns = range(1, -(-count // len(ascii_lowercase)) + 1)
    return [f"{letter}{turn}" for turn, letter in product(turns, ascii_lowercase)][:count]
