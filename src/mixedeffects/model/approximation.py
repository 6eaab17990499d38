"""The check of a generalized fit's approximate likelihood."""

from __future__ import annotations

from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.inference.approximation import ApproximationError, approximation_error
from mixedeffects.inference.streams import Seed
from mixedeffects.model.values import Values


class ApproximationChecks(Values):
    """How good the approximation of the likelihood is."""

    _fit: GeneralFit

    @property
    def quadrature(self) -> int:
        """Nodes along each random effect, 1 for the Laplace approximation."""
        return self._fit.quadrature

    def check_laplace(self, n: int = 1000, *, seed: Seed = None) -> ApproximationError:
        """The error of the Laplace approximation (or of the quadrature), by importance sampling.

        Random effects are drawn from their Gaussian approximation at the mode, in part from
        Student's t with the same location and scale, and weighed by the exact density, each
        independent part of them (a level of a single grouping factor, for example) by itself.
        The same draws give the exact likelihood's slope, hence by how much the estimates would
        move to first order if it were maximized.

        Parameters
        ----------
        n
            Draws, each about as dear as one evaluation of the likelihood of the rows.
        seed
            An integer or a Generator, for the same draws again.

        Returns
        -------
        ApproximationError
            ``error`` of the log-likelihood with ``std_error``, ``checks``, and ``table`` of the
            estimates' shifts.

        Raises
        ------
        ModelError
            If the likelihood is exact, or n is below 100.

        Examples
        --------
        >>> import mixedeffects as me
        >>> cbpp = me.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> found = me.fit(formula, cbpp, family="binomial").check_laplace(seed=1)
        >>> round(found.error, 1), found.pieces
        (0.0, 15)
        >>> [check.passed for check in found.checks]
        [True, True]
        """
        return approximation_error(self._fit, n, seed)
