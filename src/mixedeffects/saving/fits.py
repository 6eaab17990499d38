"""A fit as what a file must hold to make it again without optimizing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects import __version__
from mixedeffects.errors import FileFormatError, MixedEffectsError
from mixedeffects.fitting.fit import Fit, completed, problem_of
from mixedeffects.fitting.general import GeneralProblem
from mixedeffects.fitting.general_fit import GeneralFit, completed_general, general_problem_of
from mixedeffects.fitting.laplace import LaplaceObjective
from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.optimize import Optimum
from mixedeffects.fitting.quadrature import objective_of
from mixedeffects.fitting.solve import solution_at
from mixedeffects.saving.archive import read_archive, write_archive
from mixedeffects.saving.columns import Arrays
from mixedeffects.saving.designs import pack_design, unpack_design
from mixedeffects.saving.families import pack_family, unpack_family
from mixedeffects.saving.optima import (
    pack_optimum,
    pack_solution,
    unpack_optimum,
    unpack_solution,
)

if TYPE_CHECKING:
    from mixedeffects.bayes.sampled import Sampled

__all__ = ["read", "write"]

# The stored objective must come out again, up to another machine's rounding.
AGREEMENT = 1e-8
# The versions of the format: generalized fits came with the second.
LINEAR, GENERALIZED = 1, 2
# What the manifest calls a file of draws.
POSTERIOR = "posterior"


def write(fit: Fit | GeneralFit, path: str | Path) -> None:
    """Write a fit, with the columns that its formulas use.

    Raises
    ------
    OSError
        If the file cannot be written; one that was there stays as it was.
    ModelError
        If a file cannot hold the fit's family.
    """
    arrays = Arrays()
    manifest: dict[str, Any] = {"package": __version__, "family": "gaussian"}
    manifest |= pack_design(fit.design, arrays)
    manifest["optimum"] = pack_optimum(fit.solution.optimum, arrays)
    if isinstance(fit, Fit):
        write_archive(path, LINEAR, manifest | {"reml": fit.estimates.reml}, arrays)
        return
    manifest["family"] = pack_family(fit.family)
    manifest["quadrature"] = fit.quadrature
    manifest["reml"] = fit.estimates.reml
    manifest["solution"] = pack_solution(fit.solution, arrays)
    write_archive(path, GENERALIZED, manifest, arrays)


def read(path: str | Path) -> Fit | GeneralFit | Sampled:
    """Read a fit or a posterior: build its design from the columns in the file.

    A fit's objective is checked, a posterior's draws have the shapes of its parameters.

    Raises
    ------
    FileFormatError
        If the file is missing, truncated, altered, of a later version or of another kind, or
        if the objective is not the stored one.
    """
    manifest, arrays = read_archive(path)
    make = _reader(manifest)
    try:
        return make(manifest, arrays)
    except FileFormatError:
        raise
    except KeyError as error:
        raise FileFormatError(f"{path} does not describe a fit: it has no {error}.") from None
    except (TypeError, ValueError, AttributeError, IndexError, MixedEffectsError) as error:
        reason = " ".join(str(error).split())
        raise FileFormatError(f"{path} does not describe a fit: {reason}") from None


def _reader(
    manifest: Mapping[str, Any],
) -> Callable[[Mapping[str, Any], Arrays], Fit | GeneralFit | Sampled]:
    if manifest.get("kind") == POSTERIOR:
        from mixedeffects.saving.posteriors import unpack_posterior

        return unpack_posterior
    return _linear if manifest.get("family") == "gaussian" else _generalized


def _linear(manifest: Mapping[str, Any], arrays: Arrays) -> Fit:
    optimum = unpack_optimum(manifest["optimum"], arrays)
    design = unpack_design(manifest, arrays)
    problem = problem_of(design, bool(manifest["reml"]))
    _check_count(optimum, problem.n_parameters, "covariance parameters")
    objective = Objective(problem)
    _check_value(optimum, objective.value(optimum.theta))
    return completed(design, problem, solution_at(objective, optimum))


def _generalized(manifest: Mapping[str, Any], arrays: Arrays) -> GeneralFit:
    optimum = unpack_optimum(manifest["optimum"], arrays)
    family = unpack_family(manifest["family"])
    design = unpack_design(manifest, arrays, family.response_kind)
    problem = general_problem_of(
        design, family, int(manifest["quadrature"]), bool(manifest["reml"])
    )
    _check_count(optimum, problem.n_parameters + problem.n_fixed, "parameters")
    solution = unpack_solution(manifest["solution"], optimum, problem.n_parameters, arrays)
    _check_shapes(problem, arrays)
    _check_value(optimum, _likelihood(problem, optimum))
    return completed_general(design, family, problem, solution)


def _likelihood(problem: GeneralProblem, optimum: Optimum) -> float:
    laplace = problem.quadrature == 0  # the approximation, at other estimates than its own
    objective = LaplaceObjective(problem) if laplace else objective_of(problem)
    return objective.refine(optimum.theta).value


def _check_count(optimum: Optimum, wanted: int, what: str) -> None:
    if optimum.theta.shape != (wanted,):
        raise FileFormatError(
            f"The file holds {optimum.theta.size} {what}, its formula has {wanted}."
        )


def _check_shapes(problem: GeneralProblem, arrays: Arrays) -> None:
    q, n = int(problem.plan.offset[-1]), problem.n_parameters + problem.n_fixed
    wanted = {"u": (q,), "b": (q,), "covariance": (n, n)}
    for name, shape in wanted.items():
        array: NDArray[Any] = arrays[f"solution/{name}.npy"]
        if array.shape != shape or array.dtype != np.float64:
            raise ValueError(f"solution/{name}.npy is not of the shape {shape}")


def _check_value(optimum: Optimum, value: float) -> None:
    if not abs(value - optimum.value) <= AGREEMENT * max(1.0, abs(optimum.value)):
        raise FileFormatError(
            f"The file holds the objective {optimum.value!r}, but its data and formula give "
            f"{value!r}: fit again from the data."
        )
