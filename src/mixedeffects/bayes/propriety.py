"""Whether flat priors leave a posterior that can be normalized."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixedeffects.bayes.standard_prior import StandardPrior
from mixedeffects.errors import ModelError
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.general_solve import solve_general
from mixedeffects.fitting.separation import moved_columns, parts

Floats = NDArray[np.float64]

# Share of a direction that priors may bound, and rounding.
NOTHING = 1e-8


def check_bounded(problem: GeneralProblem, prior: StandardPrior) -> None:
    """Refuse coefficients that neither the data nor a prior bounds.

    Raises
    ------
    ModelError
        Naming them.
    """
    bounded = prior.bounded_functions()
    if len(bounded) == problem.n_fixed:
        return
    try:
        drifting = solve_general(problem).drifting
    except ModelError:
        return  # that there is no estimate is not yet that there is no posterior
    free = drifting @ _null_space(bounded @ drifting)
    names = [
        prior.names[problem.predictors[a].first + int(i)]
        for a in parts(problem, free)
        for i in moved_columns(problem, a, free)
    ]
    if names:
        listed = ", ".join(repr(name) for name in names)
        raise ModelError(
            f"The posterior is improper: the data do not bound {listed} (the likelihood does not "
            "fall as they go to infinity, as where they separate the response), and a flat prior "
            "does not either. Give a proper prior, such as the default."
        )


def _null_space(matrix: Floats) -> Floats:
    """Columns (d, f) that the matrix (r, d) takes to zero."""
    if not matrix.shape[1]:
        return np.empty((0, 0))
    vectors, sizes = np.linalg.svd(matrix)[2], np.zeros(matrix.shape[1])
    found = np.linalg.svd(matrix, compute_uv=False)
    sizes[: len(found)] = found
    return vectors[sizes <= NOTHING * max(1.0, float(sizes.max(initial=0.0)))].T
