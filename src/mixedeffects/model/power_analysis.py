"""power(): how often a test would reject, by simulation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from mixedeffects.errors import ConvergenceWarning, ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.inference.power import Power, simulated_power
from mixedeffects.inference.power_designs import sizes_of, with_parameters
from mixedeffects.inference.power_runs import AbstractPowerTest
from mixedeffects.inference.power_tests import OwnTest, is_random, p_value_of, power_test
from mixedeffects.inference.streams import Seed
from mixedeffects.inference.wald import check_level
from mixedeffects.model.linear import LinearFit
from mixedeffects.model.mixed_fit import MixedFit
from mixedeffects.model.options import check_option
from mixedeffects.model.resampling import check_numbers, progress_bar


def power(
    fit: MixedFit,
    test: Any,
    n: int = 1000,
    *,
    effects: Mapping[str, float] | None = None,
    sds: Mapping[str, float] | None = None,
    sigma: float | None = None,
    extend: Mapping[str, int | Sequence[int]] | None = None,
    method: Literal["wald", "lrt"] | None = None,
    df: str | None = None,
    alpha: float = 0.05,
    level: float = 0.95,
    seed: Seed = None,
    threads: int | None = None,
    progress: bool = False,
) -> Power:
    """Power of a test: how often it rejects on responses simulated from a fit.

    Each replicate draws new random effects and residuals, fits the model to the response and
    tests. Power at the effect that a fit happened to find says no more than its p value: give
    the effect that matters.

    Parameters
    ----------
    fit
        Of a Gaussian model; its design and parameters are those of the simulation.
    test
        Of coefficients: what ``fit.test`` takes, a term, equations or a matrix. Of a random
        term: its name in ``test_random()``, such as ``"(1 | Batch)"`` or ``"Days in (Days |
        Subject)"``. Or a function that takes a fit and gives a p value; it is called once a
        replicate, and with ``fit`` first.
    n
        Replicates at each size.
    effects
        True values of coefficients by name, in place of the estimates.
    sds
        True standard deviations of random effects by their names in ``confint()``, such as
        ``"sd(Days | Subject)"``; correlations stay, those of a deviation estimated as zero are
        zero.
    sigma
        True residual standard deviation.
    extend
        Sizes along which power is found: ``{"Subject": [10, 20, 40]}``, levels of a grouping
        factor, whose new ones repeat the rows of those there are, in their order, over and over
        (levels nested in them are new too, crossed factors stay); or ``{"within": [1, 2, 4]}``,
        observations of every row. Balance of treatments between groups follows their order.
    method
        ``"wald"`` (t and F tests), the default for coefficients, or ``"lrt"``, likelihood ratios
        by maximum likelihood. Random terms have their likelihood ratio with the boundary's
        distribution: exact where a single variance is all there is, else asymptotic at the
        estimates of ``fit``.
    df
        Degrees of freedom of Wald tests as in ``fixef``, found anew at the estimates of every
        replicate: the power is that of the test that ``fit.test`` would make.
    alpha
        A p value below this rejects.
    level
        Coverage of the exact binomial intervals (Clopper and Pearson 1934).
    seed
        An integer, or a Generator. The numbers are the same for any number of threads.
    threads
        By default one for each processor.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Power
        ``table`` (``size power conf_low conf_high n failed``), ``p_values`` (S, n), ``failed``.

    Warns
    -----
    ConvergenceWarning
        If replicates failed: they are listed in ``failed`` and count in no power.

    Raises
    ------
    FormulaError, ModelError
        For what is not in the model, sizes that do not increase, a function that gives no p
        value, a size at which a coefficient cannot be estimated, or if every replicate failed.

    Examples
    --------
    >>> import mixedeffects as me
    >>> fit = me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))
    >>> sizes = {"Subject": [9, 36]}
    >>> result = me.power(fit, "Days", 200, effects={"Days": 4}, extend=sizes, seed=1)
    >>> result.table[["size", "power"]].round(2)
       size  power
    0     9   0.40
    1    36   0.94
    """
    if not isinstance(fit, MixedFit):
        raise ModelError(f"power needs a fit; it was given {type(fit).__name__}.")
    if not isinstance(fit, LinearFit):
        raise ModelError(
            f"power is for Gaussian models, and this one's family is {fit.family!r}: test refits "
            "to simulate() in a loop."
        )
    check_option("method", method, (None, "wald", "lrt"))
    check_numbers(n, threads)
    check_level(level)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0.0 < alpha < 1.0:
        raise ModelError(f"alpha={alpha!r} is not between 0 and 1: a 5% test is alpha=0.05.")
    asked = _asked(fit, test, method, df)
    along, sizes = sizes_of(fit._fit, extend)
    truth = with_parameters(fit._fit, effects, sds, sigma)
    with progress_bar(n * len(sizes), progress, "power") as tell:
        found = simulated_power(
            truth,
            asked,
            n,
            along=along,
            sizes=sizes,
            alpha=alpha,
            level=level,
            seed=seed,
            threads=threads,
            progress=tell,
        )
    if found.n_failed:
        why = next(own for own in found.reasons if own)
        warnings.warn(
            f"{found.n_failed} of {n * len(sizes)} replicates failed and count in no power: see "
            f"'failed'; the first: {next(iter(why.values()))}",
            ConvergenceWarning,
            stacklevel=2,
        )
    return found


def _asked(fit: LinearFit, test: Any, method: str | None, df: str | None) -> AbstractPowerTest:
    """The test, and whether method and df belong to it."""
    own, random = callable(test), is_random(fit._fit, test)
    if method is not None and (own or (random and method == "wald")):
        raise ModelError(f"method={method!r} belongs to tests of coefficients: leave it out.")
    if df is not None and (own or random or method == "lrt"):
        raise ModelError(f"df={df!r} belongs to Wald tests of coefficients: leave it out.")
    if own:
        return _own_test(fit, test)
    if not random and method != "lrt":
        return power_test(fit._fit, test, "wald", fit._freedom(df))
    return power_test(fit._fit, test, "lrt", fit._freedom("asymptotic"))


def _own_test(fit: LinearFit, test: Callable[[Any], Any]) -> OwnTest:
    p_value_of(test(fit))
    face = type(fit)

    def on_face(other: Fit) -> Any:
        return test(face(other))

    return OwnTest(on_face, getattr(test, "__name__", type(test).__name__))
