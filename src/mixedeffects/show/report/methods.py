"""A methods paragraph that can be pasted into a paper, with what it cites."""

from __future__ import annotations

from collections.abc import Iterator
from platform import python_version

from mixedeffects import __version__
from mixedeffects.bayes.sampled import Sampled
from mixedeffects.families import ZeroInflated
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.formula.design import Design
from mixedeffects.inference.freedom import AbstractFreedom
from mixedeffects.show import formats
from mixedeffects.show.general_summary import one_sided
from mixedeffects.show.report.citations import cited
from mixedeffects.show.report.elements import heading, numbered, paragraph
from mixedeffects.show.report.words import listed, response_name

_TESTS = {
    "satterthwaite": "t and F tests of fixed effects use Satterthwaite's approximation to the "
    "degrees of freedom (Satterthwaite 1946; Fai & Cornelius 1996)",
    "asymptotic": "tests of fixed effects are Wald z and χ² tests",
}
_RATIOS = (
    "Random effects were tested by likelihood ratios whose reference distributions count with "
    "variances that cannot be negative (Self & Liang 1987; Stram & Lee 1994)."
)
COMPARED = {
    True: "Nested models were compared by likelihood ratios, REML fits with different fixed "
    "effects after refitting by maximum likelihood; where variances are zero under the smaller "
    "model the reference is a mixture of χ² distributions (Self & Liang 1987; Stram & Lee 1994). "
    "Others are compared by AIC (Akaike 1974) and BIC (Schwarz 1978).",
    False: "Models were compared by their expected log predictive densities, by leave-one-out "
    "cross-validation with importance sampling (Vehtari et al. 2017).",
}
"""How fits are compared, and how posteriors are."""
SOFTWARE = f"mixedeffects {__version__} for Python {python_version()}"


def methods(fit: Fit | GeneralFit, freedom: AbstractFreedom, used: frozenset[str]) -> str:
    """The paragraph as text.

    Parameters
    ----------
    fit
    freedom
        Of the tests.
    used
        What else the page has: ``"r2"``, ``"means"``, ``"random tests"``, ``"exact tests"``.
    """
    return " ".join(_sentences(fit, freedom, used))


def with_references(*paragraphs: tuple[str, str]) -> str:
    """Paragraphs, each below its heading where it has one, and one list of what they cite."""
    shown = "".join(
        (heading(title) if title else "") + paragraph(text, "methods") for title, text in paragraphs
    )
    return shown + heading("References") + numbered(cited(" ".join(t for _, t in paragraphs)))


def _sentences(
    fit: Fit | GeneralFit, freedom: AbstractFreedom, used: frozenset[str]
) -> Iterator[str]:
    yield f"{_opening(fit.design)} {_model(fit)} with {SOFTWARE}, {_estimation(fit)}."
    yield from _formulas(fit.design)
    yield f"{_first_upper(_TESTS[freedom.name])}; intervals are of 95%."
    if "random tests" in used:
        yield _RATIOS
    if "exact tests" in used:
        yield (
            "Tests of single variances are exact in finite samples (Crainiceanu & Ruppert 2004; "
            "Greven et al. 2008)."
        )
    if "r2" in used:
        yield (
            "Marginal and conditional R² and intraclass correlations follow Nakagawa and "
            "colleagues (Nakagawa et al. 2017)."
        )
    if "means" in used:
        yield "Estimated marginal means are averages over a balanced grid (Searle et al. 1980)."
    yield "AIC (Akaike 1974) and BIC (Schwarz 1978) are reported."
    if isinstance(fit, GeneralFit) and fit.family.response_kind != "ordinal":
        yield "Residuals were judged by randomized quantile residuals (Dunn & Smyth 1996)."


def posterior_methods(sampled: Sampled) -> str:
    """The paragraph of a posterior."""
    design, (chains, draws) = sampled.design, sampled.shape
    kind = "a Bayesian linear mixed model" if sampled.is_linear else "a Bayesian mixed model"
    family = "" if sampled.is_linear else f" ({sampled.family.describe()})"
    nuts = "diverging" in sampled.draws.stats
    way = " with the No-U-Turn sampler (Hoffman & Gelman 2014)" if nuts else ""
    if sampled.prior_only:
        told = [f"The draws are of the prior, which {response_name(design)} has not moved."]
    else:
        told = [
            "Convergence was judged by rank-normalized split R-hat and effective sample sizes "
            "(Vehtari et al. 2021); estimates are posterior means with central 95% intervals.",
            "Predictive accuracy is that of leave-one-out cross-validation by importance "
            "sampling (Vehtari et al. 2017).",
        ]
    told = [
        f"{_opening(design)} {kind}{family} with {SOFTWARE}.",
        *_formulas(design),
        f"{chains} chains of {draws:,} draws (seed {sampled.settings.seed}) were made{way}.",
        *told,
    ]
    return " ".join(told)


def _opening(design: Design) -> str:
    """Which rows were analysed, as the beginning of a sentence."""
    left_out = design.n_rows - len(design.y)
    counted = formats.counted(left_out, "row")
    without = f"; {counted} with missing values left out" if left_out else ""
    return f"{response_name(design)} ({len(design.y):,} rows{without}) was analysed by"


def _formulas(design: Design) -> Iterator[str]:
    """The formulas and the groups."""
    others = [f"{name.replace('_', ' ')} {one_sided(own)}" for name, own in design.others.items()]
    yield f"The model formula was {'; '.join([design.formula, *others])}."
    terms = [t for own in (design, *design.others.values()) for t in own.random]
    groups = {t.group: f"{t.group} ({len(t.levels):,} levels)" for t in terms}
    if groups:
        yield f"Random effects were grouped by {listed(list(groups.values()))}."


def _model(fit: Fit | GeneralFit) -> str:
    if isinstance(fit, Fit):
        return "a linear mixed model (Laird & Ware 1982)"
    family = fit.family
    kind = f"a generalized linear mixed model ({family.describe()}; Breslow & Clayton 1993)"
    if family.name == "cumulative":
        kind = f"a cumulative link mixed model ({family.link} link; McCullagh 1980)"
    if isinstance(family, ZeroInflated):
        kind += (
            " with zero inflation (Lambert 1992)"
            if family.base.zero_mass
            else " as a hurdle model (Mullahy 1986)"
        )
    return kind


def _estimation(fit: Fit | GeneralFit) -> str:
    by = (
        "fitted by restricted maximum likelihood (Patterson & Thompson 1971)"
        if fit.estimates.reml
        else "fitted by maximum likelihood"
    )
    if isinstance(fit, Fit) or fit.problem.exact:
        return by
    if fit.quadrature == 0:
        return f"{by} with the coefficients estimated along with the random effects"
    if fit.quadrature == 1:
        return f"{by} with the Laplace approximation (Pinheiro & Bates 1995)"
    return (
        f"{by} with adaptive Gauss–Hermite quadrature of {fit.quadrature} nodes "
        "(Pinheiro & Bates 1995)"
    )


def _first_upper(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"
