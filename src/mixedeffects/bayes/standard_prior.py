"""A model's prior as a density of the coefficients in a problem's basis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.prior_model import PriorModel
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.formula.design import Design

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


class StandardPrior:
    """The log-density of all predictors' coefficients (p,), extra parameters among them.

    ``to_user`` (p, p) takes them to the user's columns; ``own``, ``dispersion`` and ``extras``
    are the places of the coefficients that have a design, of the one dispersion and of the extra
    parameters.
    """

    def __init__(self, problem: GeneralProblem, design: Design, prior: PriorModel) -> None:
        self.model = prior
        self.to_user = np.zeros((problem.n_fixed, problem.n_fixed))
        places: dict[str, list[int]] = {"own": [], "dispersion": [], "extras": []}
        predictors = problem.family.predictors()
        for number, predictor in enumerate(problem.predictors):
            place = predictor.coefficients
            self.to_user[place, place] = np.linalg.inv(predictor.basis.map)
            kind = "extras" if number >= len(predictors) else "own"
            if predictor.name == "dispersion" and "dispersion" not in design.others:
                kind = "dispersion"
            places[kind] += range(place.start, place.stop)
        self.own, self.dispersion, self.extras = (
            np.array(places[kind], dtype=np.intp) for kind in places
        )
        self._root = self._quadratic()

    def _quadratic(self) -> tuple[Floats, Floats] | None:
        """R and t of exp(−½|Rβ − t|²), where the coefficients' prior is one."""
        found = self.model.coefficients.gaussian_root
        return None if found is None else (found[0] @ self.to_user[self.own], found[1])

    def __call__(self, beta: Floats) -> tuple[float, Floats]:
        """The value, up to a constant, and its gradient (p,)."""
        value, gradient = self._of_coefficients(beta)
        model = self.model
        if model.sigma is not None:
            i = self.dispersion[0]
            scale = self.to_user[i, i]
            own, slope = model.sigma.log_density_of_delta(scale * beta[i])
            value += own
            gradient[i] += scale * slope
        if len(self.extras):
            own, by_psi, by_beta = model.extras.log_density(
                self.to_user[self.extras] @ beta, self.to_user[self.own] @ beta
            )
            value += own
            gradient += by_psi @ self.to_user[self.extras] + by_beta @ self.to_user[self.own]
        return value, gradient

    def _of_coefficients(self, beta: Floats) -> tuple[float, Floats]:
        if self._root is not None:
            root, target = self._root
            off = root @ beta - target
            return -0.5 * float(off @ off), -(off @ root)
        to_user = self.to_user[self.own]
        value, by_user = self.model.coefficients.log_density(to_user @ beta)
        return value, by_user @ to_user
