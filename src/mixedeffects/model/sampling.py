"""sample(): the posterior of the model that a formula describes."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from mixedeffects.bayes.draws import Draws, Settings
from mixedeffects.bayes.prior_model import PriorModel, build_priors
from mixedeffects.bayes.priors import AbstractPrior
from mixedeffects.bayes.sampled import Sampled, contiguous, is_linear
from mixedeffects.errors import ConvergenceWarning, ModelError
from mixedeffects.families import AbstractFamily
from mixedeffects.families import build as build_family
from mixedeffects.formula.design import Design
from mixedeffects.model.designs import (
    Asked,
    design_of,
    leaves_no_residual,
    refuse_dispersion,
    refuse_weights,
    whole_family,
)
from mixedeffects.model.options import OnCheck, check_option, is_whole
from mixedeffects.model.posterior import Posterior
from mixedeffects.show.formats import amount

Told = Callable[[int, int], None]
Progress = bool | Told | None

# Fewer draws of a chain, or of tuning, and nothing can be said of what they are worth.
FEWEST_DRAWS, FEWEST_TUNING = 20, 50
# Seeds are numbers of 64 bits.
SEEDS = 2**64


def sample(
    formula: str,
    data: Any,
    *,
    family: str | AbstractFamily = "gaussian",
    priors: Mapping[str, AbstractPrior] | None = None,
    chains: int = 4,
    draws: int = 1000,
    tune: int = 1000,
    seed: int | None = None,
    weights: Any = None,
    offset: Any = None,
    dispersion: str | None = None,
    zero_inflation: str | None = None,
    missing: Literal["drop", "error"] = "drop",
    prior_only: bool = False,
    progress: Progress = None,
    on_check: OnCheck = "warn",
) -> Posterior:
    """Draw from the posterior of a mixed model.

    Parameters
    ----------
    formula, data, family, weights, offset, dispersion, zero_inflation, missing
        As in ``fit``.
    priors
        By parameter (``"Days"``, ``"Intercept"``, ``"sd(Days | Subject)"``, ``"cor(Subject)"``,
        ``"sigma"``, ``"dispersion: x"``) or class (``"b"``, ``"sd(Subject)"``, ``"sd"``,
        ``"cor"``) an object of ``me.priors``. What is left out has a weakly informative default
        scaled to the data, shown by ``post.priors``.
    chains, draws, tune
        Independent chains, draws kept of each, and draws made before these to tune the
        sampler. Some ways need less tuning, or none.
    seed
        By which the same draws come again; one is drawn, and is ``post.seed``, where omitted.
    prior_only
        Whether to draw from the prior, without looking at the response.
    progress
        A bar on the terminal (the default there, True everywhere, False nowhere), or a function
        of the draws made and of how many there will be at most.
    on_check
        What follows when the checks of the draws do not hold: one ConvergenceWarning, a
        ModelError, or nothing.

    Returns
    -------
    Posterior

    Raises
    ------
    FormulaError
        If the formula cannot be read.
    DataError
        If a column is missing or its values cannot be used.
    ModelError
        If the model cannot be estimated from these data, a prior is of no parameter of it, the
        posterior would be no distribution, or a number of draws is none.

    Notes
    -----
    The random effects, and with normal or flat priors the coefficients, of linear models are
    integrated out where that is cheap, and drawn exactly given the rest. An interrupt from the
    keyboard keeps the draws made so far; ``post.checks`` then says so.

    Examples
    --------
    >>> import mixedeffects as me
    >>> data = me.datasets.load("sleepstudy")
    >>> post = me.sample(
    ...     "Reaction ~ Days + (Days | Subject)",
    ...     data,
    ...     priors={"Days": me.priors.Normal(0, 20)},
    ...     seed=1,
    ... )
    >>> post.fixef()[["term", "estimate"]].round(0)
            term  estimate
    0  Intercept     251.0
    1       Days      10.0
    """
    kind = build_family(family)
    settings = _settings(chains, draws, tune, seed, prior_only)
    check_option("on_check", on_check, ("warn", "error", "ignore"))
    check_option("missing", missing, ("drop", "error"))
    check_option("prior_only", prior_only, (True, False))
    given = {"dispersion": dispersion, "zero_inflation": zero_inflation}
    others = {name: text for name, text in given.items() if text is not None}
    refuse_dispersion(kind, others)
    if leaves_no_residual(kind, others):
        raise ModelError(
            f"dispersion={dispersion!r}, a model without a residual, can be fitted but not "
            "sampled: use me.fit, or keep the residual."
        )
    if others or kind != build_family("gaussian"):
        refuse_weights(kind, weights)
    asked = Asked(formula, weights, offset, missing, others)
    design = design_of(asked, data, kind, sys._getframe(1))
    whole = whole_family(kind, others)
    prior_model = build_priors(design, whole, priors)
    with _told(progress, settings) as tell:
        drawn = _drawn(design, whole, prior_model, settings, prior_only, tell)
    response = whole.response(design.y, design.trials, design.response, design.rows)
    sampled = Sampled(
        design, whole, response, prior_model, settings, contiguous(drawn), bool(prior_only)
    )
    post = Posterior(sampled)
    _judge(post, on_check)
    return post


def _drawn(
    design: Design,
    family: AbstractFamily,
    priors: PriorModel,
    settings: Settings,
    prior_only: bool,
    tell: Callable[[int], None] | None,
) -> Draws:
    """The draws, by the way that suits the model."""
    if prior_only:
        from mixedeffects.bayes.prior_draws import draw_prior

        return draw_prior(design, family, priors, settings)
    if is_linear(design, family):
        from mixedeffects.bayes.gaussian import sample_gaussian

        return sample_gaussian(design, priors, settings, tell)
    from mixedeffects.bayes.general import sample_general

    return sample_general(design, family, priors, settings, tell)


# -- options -------------------------------------------------------------------------------


def _settings(chains: Any, draws: Any, tune: Any, seed: Any, prior_only: bool) -> Settings:
    return Settings(
        _whole("chains", chains, 1, "a posterior needs one chain or more, and four to be checked"),
        _whole("draws", draws, FEWEST_DRAWS, "fewer draws of a chain tell nothing"),
        _whole(
            "tune", tune, 0 if prior_only else FEWEST_TUNING, "the sampler tunes itself by them"
        ),
        _seed(seed),
    )


def _whole(name: str, value: Any, least: int, reason: str) -> int:
    if not is_whole(value) or value < least:
        raise ModelError(f"{name}={value!r} must be a whole number of at least {least}: {reason}.")
    return int(value)


def _seed(seed: Any) -> int:
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    whole = _whole("seed", seed, 0, "by the same seed the same draws come again")
    if whole >= SEEDS:
        raise ModelError(f"seed={seed!r} has more than 64 bits: give a smaller number.")
    return whole


def _judge(post: Posterior, on_check: OnCheck) -> None:
    """What its user wants done where the checks do not hold."""
    failed = [check for check in post.checks if not check.passed]
    if not failed or on_check == "ignore":
        return
    told = "; ".join(
        f"{c.name}: {amount(c.value)} (limit {amount(c.tolerance)}): {c.message}" for c in failed
    )
    if on_check == "error":
        raise ModelError(f"The checks of the draws do not hold: {told}")
    warnings.warn(f"The checks of the draws do not hold: {told}", ConvergenceWarning, stacklevel=3)


# -- progress ------------------------------------------------------------------------------


@contextmanager
def _told(progress: Any, settings: Settings) -> Any:
    """What the sampler is to tell its progress to: a function of the draws made, or None."""
    total = settings.chains * (settings.tune + settings.draws)
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        raise ModelError(
            f"progress={progress!r} is not True, False or a function of (draws made, draws in all)."
        )
    if callable(progress):
        yield lambda made: progress(made, total)
    elif progress or (progress is None and sys.stderr.isatty()):
        with _bar(total) as tell:
            yield tell
    else:
        yield None


@contextmanager
def _bar(total: int) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("Sampling"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} draws"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Sampling", total=total)
        yield lambda made: bar.update(task, completed=made)
        bar.update(task, completed=total)
