"""REML of Gaussian models whose rows have a known variance, at the modes of their effects.

The criterion integrates β out: it adds log|X'V⁻¹X| − p log 2π to −2 log-likelihood, of which the
minimum in β is unmoved (Patterson and Thompson 1971, Biometrika 58, 545-554).  With V = W⁻¹ +
ZΛΛ'Z', Λ'Z'V⁻¹X = H⁻¹Λ'Z'WX =: Y, and V⁻¹X = W(X − ZΛY), no digits being lost where W is large.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.fitting.laplace import Integral, LaplaceObjective
from mixedeffects.fitting.mode import Mode

Floats = NDArray[np.float64]


class RestrictedObjective(LaplaceObjective):
    """The REML criterion as a function of ψ = (θ, β), standardized."""

    def _integrate(self, roots: list[Floats], mode: Mode) -> Integral:
        integral = super()._integrate(roots, mode)
        weights, rows = self._search.weights(mode.ell), self.rows
        basis = self.problem.predictors[0].basis
        inner = np.ascontiguousarray(rows.scale(rows.collect_fixed(weights), roots))
        rows.factor.forward(inner)
        rows.factor.backward(inner)
        rest = np.empty_like(basis.columns)
        for j, column in enumerate(basis.columns.T):
            rest[:, j] = weights[0, 0] * (column - rows.spread(inner[:, j], roots)[0])
        information = basis.columns.T @ rest
        root = cast(Floats, np.linalg.inv(np.linalg.cholesky(information)).T)
        inner, outer = inner @ root, rows.collect({0: np.ascontiguousarray(rest @ root)})
        traces = [np.einsum("lap,lbp->ab", outer[c], inner[c]).ravel() for c in rows.columns]
        p = len(root)
        volume = np.linalg.slogdet(information)[1] + 2.0 * np.linalg.slogdet(basis.map)[1]
        return replace(
            integral,
            value=integral.value + float(volume) - p * np.log(2.0 * np.pi),
            traces=integral.traces - np.concatenate(traces),
        )
