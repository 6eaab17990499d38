"""Posterior probabilities of statements about parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.diagnostics import ess_mean
from mixedeffects.bayes.quantities import named_draws, sigma_name
from mixedeffects.bayes.sampled import Sampled
from mixedeffects.bayes.savage_dickey import density_ratio
from mixedeffects.bayes.summaries import summary
from mixedeffects.data.frames import FrameKind, make_table
from mixedeffects.errors import FormulaError, ModelError
from mixedeffects.fitting.estimates import prefix_of
from mixedeffects.inference.expressions import equations
from mixedeffects.inference.wald import check_level

Floats = NDArray[np.float64]

_RELATION = re.compile(r"<=|>=|==|=|<|>|≤|≥")


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """``sign``·(row'parameters − value) > 0; an equation where the sign is 0."""

    text: str
    row: Floats
    value: float
    sign: int


@dataclass(frozen=True, slots=True)
class HypothesisTests:
    """Statements with their posterior probabilities.

    Attributes
    ----------
    hypotheses : tuple of str, length r
    probability : ndarray, shape (r,)
        Of each statement; of an equation that, if it was as likely as not before the data.
    odds : ndarray, shape (r,)
        Posterior odds p/(1 − p); of an equation the Bayes factor for it.
    """

    hypotheses: tuple[str, ...]
    probability: Floats
    odds: Floats
    columns: dict[str, Any] = field(repr=False)
    frame: FrameKind = field(repr=False)

    @property
    def table(self) -> Any:
        """``hypothesis estimate std_error conf_low conf_high probability mc_error odds``.

        ``estimate`` is that of the left side less the right; ``mc_error`` the Monte Carlo
        error of the probability.
        """
        return make_table(self.columns, self.frame)

    def __repr__(self) -> str:
        shown = ", ".join(
            f"P({text}) = {p:.4g}"
            for text, p in zip(self.hypotheses, self.probability, strict=True)
        )
        return f"<{shown}>"


def hypothesis(sampled: Sampled, text: str, component: str, level: float) -> HypothesisTests:
    """Test statements, separated by commas, about the parameters: see ``Posterior.hypothesis``."""
    check_level(level)
    names, draws = parameters(sampled, component)
    stated = statements(text, names)
    along = draws.reshape(-1, len(names))
    found = [_tested(sampled, h, names, draws, along, component) for h in stated]
    differences = np.column_stack([along @ h.row - h.value for h in stated])
    told = summary(differences, level)
    probability, odds, error = (np.array(column) for column in zip(*found, strict=True))
    columns = {
        "hypothesis": [h.text for h in stated],
        **{name: told[name] for name in ("estimate", "std_error", "conf_low", "conf_high")},
        "probability": probability,
        "mc_error": error,
        "odds": odds,
    }
    names_of = tuple(h.text for h in stated)
    return HypothesisTests(names_of, probability, odds, columns, sampled.design.frame)


def parameters(sampled: Sampled, component: str) -> tuple[list[str], Floats]:
    """Names and draws (C, S, p) that statements are about; ``component``'s without its name.

    Raises
    ------
    ModelError
        If the model has no such component.
    """
    everything = dict(named_draws(sampled))
    if sampled.draws.sigma is not None:
        everything[sigma_name(sampled)] = sampled.draws.sigma
    prefix = prefix_of(component)
    known = dict.fromkeys([part.name for part in sampled.parts])
    if sampled.extra_names:
        known[sampled.family.extra_component] = None
    if component not in known:
        listed = ", ".join(map(repr, known))
        raise ModelError(f"component={component!r} is not one of {listed}.")
    short = {name.removeprefix(prefix): draws for name, draws in everything.items()}
    return list(short), np.stack(list(short.values()), axis=-1)


def statements(text: str, names: Sequence[str]) -> list[Hypothesis]:
    """The statements of a text.

    Raises
    ------
    FormulaError
        Where a statement is not one relation between linear functions of known parameters.

    Examples
    --------
    >>> [(h.sign, h.value) for h in statements("Days > 5, x = 2*Days", ["x", "Days"])]
    [(1, 5.0), (0, 0.0)]
    """
    if not isinstance(text, str):
        raise FormulaError(f"a hypothesis is a text such as 'Days > 5', not {text!r}")
    return list(_statements(text, names))


def _statements(text: str, names: Sequence[str]) -> Iterator[Hypothesis]:
    for part in _parts(text):
        relations = [m for m in _RELATION.finditer(part) if _depth(part[: m.start()]) == 0]
        if len(relations) != 1:
            raise FormulaError(
                "a hypothesis has one '>', '<' or '=' between its two sides, as 'Days > 5'", text
            )
        (found,) = relations
        (equation,) = equations(f"{part[: found.start()]}={part[found.end() :]}", names)
        sign = {">": 1, "≥": 1, "<": -1, "≤": -1}.get(found[0][0], 0)
        shown = " ".join(part.split())
        yield Hypothesis(shown, equation.row, equation.value, sign)


def _parts(text: str) -> list[str]:
    """Statements between commas, but for those inside of brackets."""
    commas = [i for i, c in enumerate(text) if c == "," and _depth(text[:i]) == 0]
    edges = [-1, *commas, len(text)]
    return [text[a + 1 : b] for a, b in pairwise(edges)]


def _depth(text: str) -> int:
    """How many brackets are open at the end of a text."""
    return sum((c in "([") - (c in ")]") for c in text)


def _tested(
    sampled: Sampled,
    stated: Hypothesis,
    names: Sequence[str],
    draws: Floats,
    along: Floats,
    component: str,
) -> tuple[float, float, float]:
    """Probability, odds, and the probability's Monte Carlo error."""
    values = (along @ stated.row - stated.value).reshape(draws.shape[:2])
    if stated.sign == 0:
        row = {f"{prefix_of(component)}{n}": w for n, w in zip(names, stated.row, strict=True)}
        factor, off = density_ratio(sampled, stated.text, row, stated.value, values)
        return factor / (1.0 + factor), factor, off / (1.0 + factor) ** 2
    holds = stated.sign * values > 0.0
    p = float(holds.mean())
    size = float(ess_mean(holds.astype(float)))
    with np.errstate(divide="ignore"):
        odds = float(np.divide(p, 1.0 - p))
    return p, odds, float(np.sqrt(p * (1.0 - p) / size))
