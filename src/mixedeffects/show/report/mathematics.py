"""The model as equations: distribution, linear predictors, random effects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mixedeffects.families import AbstractFamily, ZeroInflated
from mixedeffects.formula.design import Design
from mixedeffects.formula.effects import RandomDesign
from mixedeffects.show.report import mathml as m
from mixedeffects.show.report.elements import mathematics

# More coefficients than these are a sum; terms on a line.
_WRITTEN = 12
_EACH = 3
# Letters of the coefficients of each predictor, and of the random terms.
_COEFFICIENTS = {"conditional": "β", "dispersion": "γ", "zero_inflation": "α"}
_EFFECTS = "bcdhuvwqrs"
_INDEX = m.letter("i")
_PROBABILITY = ("logit", "probit", "cloglog", "loglog", "cauchit")
_PARAMETERS = {
    "gaussian": ("Normal", m.power(m.letter("σ"), m.digits(2))),
    "binomial": ("Binomial", ""),
    "poisson": ("Poisson", ""),
    "truncated_poisson": ("Poisson above 0", ""),
    "betabinomial": ("Beta-binomial", m.letter("φ")),
    "nbinom1": ("Negative binomial", m.letter("φ")),
    "nbinom2": ("Negative binomial", m.letter("θ")),
    "truncated_nbinom1": ("Negative binomial above 0", m.letter("φ")),
    "truncated_nbinom2": ("Negative binomial above 0", m.letter("θ")),
    "genpois": ("Generalized Poisson", m.letter("φ")),
    "compois": ("Conway–Maxwell–Poisson", m.letter("φ")),
    "gamma": ("Gamma", m.letter("σ")),
    "inverse_gaussian": ("Inverse Gaussian", m.power(m.letter("σ"), m.digits(2))),
    "lognormal": ("Lognormal", m.letter("σ")),
    "beta": ("Beta", m.letter("φ")),
    "ordbeta": ("Ordered beta", m.letter("φ")),
    "tweedie": ("Tweedie", m.letter("φ")),
    "student_t": ("Student's t", m.letter("σ")),
}


def equations(design: Design, family: AbstractFamily, names: Mapping[str, Sequence[str]]) -> str:
    """The model in mathematics.

    Parameters
    ----------
    design : Design
    family : AbstractFamily
    names : mapping of str to sequence of str
        The coefficients of each linear predictor.
    """
    letters = iter(_EFFECTS)
    used: list[tuple[RandomDesign, str]] = []
    lines = list(_distribution(design, family))
    for component, left in _predictors(design, family, names):
        own = design if component == "conditional" else design.others.get(component)
        terms = [] if own is None else [(t, next(letters, "z")) for t in own.random]
        used += terms
        lines.append(_predictor(left, component, names[component], terms, own))
    lines += [_random(term, letter) for term, letter in used]
    return mathematics("".join(map(m.display, lines)), "The model in mathematics")


# -- the response --------------------------------------------------------------------------


def _distribution(design: Design, family: AbstractFamily) -> Iterator[str]:
    response = m.sub(m.words(design.response), _INDEX)
    base = family.base if isinstance(family, ZeroInflated) else family
    if base.name == "cumulative":
        below = m.row(response, m.sign("≤"), m.letter("k"))
        left = m.call(m.words(family.link), m.call(m.letter("P"), below))
        right = m.row(
            m.sub(m.letter("τ"), m.letter("k")), m.sign("−"), m.sub(m.letter("η"), _INDEX)
        )
        yield m.aligned([(left, "=", right)])
        return
    kind = _of_family(design, base)
    if isinstance(family, ZeroInflated):
        yield _with_zeros(response, kind)
    else:
        yield m.aligned([(response, "∼", kind)])


def _of_family(design: Design, family: AbstractFamily) -> str:
    name, spread = _PARAMETERS.get(family.name, (family.name, ""))
    mean = m.sub(m.letter("μ"), _INDEX)
    if "dispersion" in design.others and spread:
        spread = m.sub(spread, _INDEX)
    if family.response_kind == "binomial":
        if design.trials is None or (design.trials == 1).all():
            parts = [mean]
            name = {"Binomial": "Bernoulli"}.get(name, name)
        else:
            parts = [m.sub(m.letter("n"), _INDEX), mean]
    else:
        parts = [mean]
    if spread and family.name == "gaussian" and design.weights is not None and not design.others:
        spread = m.ratio(spread, m.sub(m.letter("w"), _INDEX))
    return m.call(m.words(name), *parts, *([spread] if spread else []))


def _with_zeros(response: str, kind: str) -> str:
    chance = m.sub(m.letter("π"), _INDEX)
    rest = m.row(m.digits(1), m.sign("−"), chance)
    return m.aligned(
        [
            (response, "=", _with_probability(m.digits(0), chance)),
            (response, "∼", _with_probability(kind, rest)),
        ]
    )


def _with_probability(what: str, chance: str) -> str:
    return m.row(what, m.gap(), m.words("with probability"), m.gap(), chance)


# -- linear predictors ---------------------------------------------------------------------


def _predictors(
    design: Design, family: AbstractFamily, names: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, str]]:
    """The predictors that have coefficients or random effects, with their left sides."""
    yield "conditional", _mean(family)
    if "dispersion" in design.others and "dispersion" in names:
        spread = m.words(family.dispersion)
        yield "dispersion", m.call(m.words("log"), m.sub(spread, _INDEX))
    if "zero_inflation" in names:
        yield "zero_inflation", m.call(m.words("logit"), m.sub(m.letter("π"), _INDEX))


def _mean(family: AbstractFamily) -> str:
    if family.name == "cumulative":
        return m.sub(m.letter("η"), _INDEX)
    mean = m.sub(m.letter("μ"), _INDEX)
    if family.link == "identity":
        return mean
    if family.link == "sqrt":
        return f"<msqrt>{mean}</msqrt>"
    if family.link == "inverse":
        return m.ratio(m.digits(1), mean)
    if family.link == "1/mu^2":
        return m.ratio(m.digits(1), f"<msubsup>{m.letter('μ')}{_INDEX}{m.digits(2)}</msubsup>")
    return m.call(m.words(family.link), mean)


def _predictor(
    left: str,
    component: str,
    names: Sequence[str],
    terms: Sequence[tuple[RandomDesign, str]],
    design: Design | None,
) -> str:
    pieces = list(_fixed(_COEFFICIENTS[component], names))
    for term, letter in terms:
        pieces += _effects(term, letter)
    if design is not None and design.offset is not None:
        pieces.append(m.sub(m.words("offset"), _INDEX))
    return m.sums(left, "=", pieces, _EACH)


def _fixed(letter: str, names: Sequence[str]) -> Iterator[str]:
    """Coefficients from 0 on where there is an intercept, from 1 on without."""
    first = 0 if "Intercept" in names else 1
    if len(names) > _WRITTEN:
        if first == 0:
            yield m.sub(m.letter(letter), m.digits(0))
        last = len(names) - 1 + first
        one = m.times(
            m.sub(m.letter(letter), m.letter("k")), m.sub(m.letter("x"), m.letter("k"), _INDEX)
        )
        yield m.total(one, "k", 1, last)
        return
    for number, name in enumerate(names, start=first):
        coefficient = m.sub(m.letter(letter), m.digits(number))
        yield coefficient if name == "Intercept" else m.times(coefficient, _column(name))


def _column(name: str) -> str:
    return m.sub(m.words(name), _INDEX)


def _effects(term: RandomDesign, letter: str) -> Iterator[str]:
    level = m.row(m.words(term.group), m.bracket("["), _INDEX, m.bracket("]"))
    if len(term.names) > 4:
        k = m.letter("k")
        effect = m.sub(m.letter(letter), k, level)
        yield m.total(m.times(effect, m.sub(m.letter("z"), k, _INDEX)), "k", 1, len(term.names))
        return
    for number, name in enumerate(term.names):
        index = [] if len(term.names) == 1 else [m.digits(number)]
        effect = m.sub(m.letter(letter), *index, level)
        yield effect if name == "Intercept" else m.times(effect, _column(name))


# -- random effects ------------------------------------------------------------------------


def _random(term: RandomDesign, letter: str) -> str:
    j, k = m.letter("j"), len(term.names)
    effect, levels = m.letter(letter), f"{len(term.levels):,}"
    normal = m.words("Normal")
    if k == 1:
        left = m.sub(effect, j)
        variance = f"<msubsup>{m.letter('σ')}{effect}{m.digits(2)}</msubsup>"
        spread, zero = variance, m.digits(0)
    else:
        shown = range(k) if k <= 4 else ()
        entries = [m.sub(effect, m.digits(i), j) for i in shown] or [
            m.sub(effect, m.digits(1), j),
            m.sign("⋮"),
            m.sub(effect, m.digits(k), j),
        ]
        left, zero = m.column(entries), '<mn mathvariant="bold">0</mn>'
        spread = m.sub(m.letter("Σ"), effect)
    if term.matrix is not None:
        left, zero = (m.letter(letter), '<mn mathvariant="bold">0</mn>') if k == 1 else (left, zero)
        spread = m.times(spread, m.letter("K"))
    said = m.words(f"for the {levels} levels j of {term.group}")
    return m.aligned([(left, "∼", m.call(normal, zero, spread)), ("", "", said)])
