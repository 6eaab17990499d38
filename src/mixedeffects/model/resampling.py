"""The bootstrap of a fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mixedeffects.errors import ConvergenceWarning, ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.inference.bootstrap import Bootstrap, Method, bootstrap
from mixedeffects.inference.draws import Random
from mixedeffects.inference.streams import Seed
from mixedeffects.model.options import check_option, is_whole
from mixedeffects.model.values import Values


class Resampling(Values):
    """The estimates on data drawn anew."""

    def bootstrap(
        self,
        n: int = 1000,
        *,
        statistic: Callable[[Any], Any] | None = None,
        method: Method = "parametric",
        random: Random = "marginal",
        seed: Seed = None,
        threads: int | None = None,
        progress: bool = False,
        group: str | None = None,
    ) -> Bootstrap:
        """Refit the model to ``n`` data sets like its own.

        Parameters
        ----------
        n
            Number of replicates.
        statistic
            Function of a refitted model that gives a number, a 1-d array or a mapping of names
            to numbers; by default all coefficients, standard deviations, correlations and σ,
            which needs no Python and is faster by far.
        method
            ``"parametric"``: responses drawn from the fitted model, the only method of
            generalized fits. ``"residual"``: estimated
            random effects and residuals, rescaled to their estimated variances, drawn with
            replacement (Carpenter, Goldstein and Rasbash 2003). ``"cases"``: whole groups drawn
            with replacement, each copy a group of its own.
        random
            For ``"parametric"``: ``"marginal"`` draws new random effects, ``"conditional"``
            keeps the estimated ones.
        seed
            An integer, or a Generator. The numbers are the same for any number of threads.
        threads
            By default one for each processor.
        progress
            Whether to show a progress bar.
        group
            For ``"cases"``: the grouping variable whose levels are drawn; by default the one
            in which all others are nested.

        Returns
        -------
        Bootstrap
            ``table`` (``term estimate bias std_error conf_low conf_high replicates``),
            ``estimates`` (one row a replicate), ``confint(level, kind)``, ``failed``,
            ``singular``.

        Warns
        -----
        ConvergenceWarning
            If replicates failed: they are listed in ``failed`` and count in no summary.

        Raises
        ------
        ModelError
            If an option is not known, the model does not allow the method (crossed factors have
            no groups to draw), or every replicate failed.

        Examples
        --------
        >>> import mixedeffects as me
        >>> fit = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff"))
        >>> result = fit.bootstrap(200, seed=1)
        >>> result.table["term"].tolist()
        ['Intercept', 'sd(Intercept | Batch)', 'sigma']
        """
        return run_bootstrap(
            type(self),
            self._fit,
            n,
            statistic=statistic,
            method=method,
            random=random,
            seed=seed,
            threads=threads,
            progress=progress,
            group=group,
        )


def run_bootstrap(
    face: Callable[[Any], Any],
    fit: Fit | GeneralFit,
    n: int,
    *,
    statistic: Callable[[Any], Any] | None = None,
    method: Method = "parametric",
    random: Random = "marginal",
    seed: Seed = None,
    threads: int | None = None,
    progress: bool = False,
    group: str | None = None,
) -> Bootstrap:
    """Check the options, bootstrap, warn of failures; ``face`` makes what a statistic sees."""
    check_option("method", method, ("parametric", "residual", "cases"))
    check_option("random", random, ("marginal", "conditional"))
    check_numbers(n, threads)
    _check_unused(method, random, group)
    with progress_bar(n, progress, "bootstrap") as tell:
        result = bootstrap(
            fit,
            n,
            statistic=None if statistic is None else _on_faces(face, statistic),
            method=method,
            random=random,
            seed=seed,
            threads=threads,
            progress=tell,
            group=group,
        )
    if result.n_failed:
        warnings.warn(
            f"{result.n_failed} of {n} replicates failed and count in no summary: see "
            f"'failed'; the first: {next(iter(result.reasons.values()))}",
            ConvergenceWarning,
            stacklevel=3,
        )
    return result


def _on_faces(face: Callable[[Any], Any], statistic: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda fit: statistic(face(fit))


def check_numbers(n: Any, threads: Any) -> None:
    for name, value in (("n", n), ("threads", 1 if threads is None else threads)):
        if not is_whole(value) or value < 1:
            raise ModelError(f"{name}={value!r} is not a number of at least one.")


def _check_unused(method: str, random: str, group: str | None) -> None:
    if method != "parametric" and random != "marginal":
        raise ModelError(f"random={random!r} belongs to method='parametric': leave it out.")
    if method != "cases" and group is not None:
        raise ModelError(f"group={group!r} belongs to method='cases': leave it out.")


@contextmanager
def progress_bar(n: int, shown: bool, task: str) -> Iterator[Callable[[int], None] | None]:
    """What to call with the number of replicates that are done."""
    if not shown:
        yield None
        return
    from rich.progress import Progress

    with Progress() as bar:
        shown_task = bar.add_task(task, total=n)
        yield lambda done: bar.update(shown_task, completed=done)
