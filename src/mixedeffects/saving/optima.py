"""Where an optimizer stopped, and what was found there, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

import numpy as np

from mixedeffects.fitting.boundary import ZeroVariance
from mixedeffects.fitting.general_solve import GeneralSolution
from mixedeffects.fitting.optimize import Evaluation, Optimum, Step
from mixedeffects.saving.columns import Arrays

__all__ = ["pack_optimum", "pack_solution", "unpack_optimum", "unpack_solution"]


def pack_optimum(optimum: Optimum, arrays: Arrays) -> dict[str, Any]:
    """Put an optimum among the arrays; the rest for the manifest."""
    steps = [astuple(step) for step in optimum.trace]
    arrays["optimum/theta.npy"] = optimum.theta
    arrays["optimum/gradient.npy"] = optimum.gradient
    arrays["optimum/hessian.npy"] = optimum.hessian
    arrays["optimum/trace.npy"] = np.array(steps, dtype=np.float64).reshape(len(steps), 4)
    return {
        "objective": optimum.value,
        "evaluations": optimum.evaluations,
        "status": optimum.status,
    }


def unpack_optimum(about: Mapping[str, Any], arrays: Arrays) -> Optimum:
    """The optimum that ``pack_optimum`` described."""
    trace = arrays["optimum/trace.npy"].tolist()
    return Optimum(
        theta=arrays["optimum/theta.npy"],
        value=float(about["objective"]),
        gradient=arrays["optimum/gradient.npy"],
        hessian=arrays["optimum/hessian.npy"],
        evaluations=int(about["evaluations"]),
        status=about["status"],
        trace=tuple(Step(v, p, length, bool(a)) for v, p, length, a in trace),
    )


# -- generalized fits ----------------------------------------------------------------------


def pack_solution(solution: GeneralSolution, arrays: Arrays) -> dict[str, Any]:
    """Put what was found at the optimum among the arrays; the rest for the manifest."""
    principal = solution.principal
    arrays["solution/u.npy"] = solution.u
    arrays["solution/b.npy"] = solution.b
    arrays["solution/covariance.npy"] = solution.covariance
    arrays["solution/drifting.npy"] = solution.drifting
    arrays["solution/gradient.npy"] = principal.gradient
    arrays["solution/hessian.npy"] = principal.hessian
    for i, zero in enumerate(solution.zeros):
        arrays[f"solution/zeros/{i}.npy"] = zero.direction
    return {
        "turned": solution.turned,
        "singular": solution.singular,
        "principal": principal.value,
        "lacking": solution.lacking,
        "zeros": [{"term": zero.term, "slope": zero.slope} for zero in solution.zeros],
    }


def unpack_solution(
    about: Mapping[str, Any], optimum: Optimum, m: int, arrays: Arrays
) -> GeneralSolution:
    """The solution that ``pack_solution`` described; m, the number of θ's elements."""
    gradient, hessian = arrays["solution/gradient.npy"], arrays["solution/hessian.npy"]
    return GeneralSolution(
        optimum=optimum,
        beta=optimum.theta[m:],
        u=arrays["solution/u.npy"],
        b=arrays["solution/b.npy"],
        covariance=arrays["solution/covariance.npy"],
        turned=bool(about["turned"]),
        drifting=arrays["solution/drifting.npy"],
        zeros=tuple(
            ZeroVariance(int(zero["term"]), arrays[f"solution/zeros/{i}.npy"], float(zero["slope"]))
            for i, zero in enumerate(about["zeros"])
        ),
        singular=bool(about["singular"]),
        principal=Evaluation(float(about["principal"]), gradient, hessian, hessian),
        lacking=int(about["lacking"]),
    )
