"""A fit as what a file must hold to make it again without optimizing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects import __version__
from mixedeffects.data.columns import level_text
from mixedeffects.data.frames import Columns, FrameKind
from mixedeffects.data.sources import Backend
from mixedeffects.errors import FileFormatError, MixedEffectsError
from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.optimize import Optimum, Step
from mixedeffects.fitting.problem import Problem
from mixedeffects.fitting.solve import Solution, solution_at
from mixedeffects.formula.design import Design, build_design
from mixedeffects.formula.grammar import parse_formula
from mixedeffects.saving.archive import read_archive, write_archive
from mixedeffects.saving.columns import (
    Arrays,
    pack_column,
    pack_index,
    pack_labels,
    unpack_column,
    unpack_index,
    unpack_labels,
)

__all__ = ["SavedFit", "read", "resume", "write"]

Floats = NDArray[np.float64]

# The stored objective must come out again, up to another machine's rounding.
AGREEMENT = 1e-8


@dataclass(frozen=True, slots=True)
class SavedFit:
    """What makes a fit: its design, whether by REML, and where the optimizer stopped."""

    design: Design
    reml: bool
    optimum: Optimum


def write(path: str | Path, saved: SavedFit) -> None:
    """Write a fit, with the columns that its formula uses.

    Raises
    ------
    OSError
        If the file cannot be written; one that was there stays as it was.
    """
    design, arrays = saved.design, Arrays()
    # a refit has another response than its columns
    arrays["response.npy"] = design.y
    columns = design.columns.columns.values()
    manifest = {
        "package": __version__,
        "family": "gaussian",
        "formula": design.formula,
        "reml": saved.reml,
        "n_rows": design.n_rows,
        "dropped": dict(design.dropped),
        "frame": design.frame.backend,
        "index": pack_index(design.frame.index, arrays),
        "columns": [pack_column(i, column, arrays) for i, column in enumerate(columns)],
        "weights": _pack_weights(design, arrays),
        "offset": _pack_offset(design, arrays),
        "known": _pack_known(design, arrays),
        "optimum": _pack_optimum(saved.optimum, arrays),
    }
    write_archive(path, manifest, arrays)


def read(path: str | Path) -> SavedFit:
    """Read a fit, and build its design from the columns in the file.

    Raises
    ------
    FileFormatError
        If the file is missing, truncated, altered, of a later version or of another kind.
    """
    manifest, arrays = read_archive(path)
    try:
        optimum = _unpack_optimum(manifest["optimum"], arrays)
        return SavedFit(_design(manifest, arrays), bool(manifest["reml"]), optimum)
    except KeyError as error:
        raise FileFormatError(f"{path} does not describe a fit: it has no {error}.") from None
    except (TypeError, ValueError, AttributeError, IndexError, MixedEffectsError) as error:
        reason = " ".join(str(error).split())
        raise FileFormatError(f"{path} does not describe a fit: {reason}") from None


def resume(problem: Problem, saved: SavedFit) -> Solution:
    """The solution at the stored optimum.

    Raises
    ------
    FileFormatError
        If the objective there is not the stored one.
    """
    optimum = saved.optimum
    if optimum.theta.shape != (problem.n_parameters,):
        raise FileFormatError(
            f"The file holds {optimum.theta.size} covariance parameters, its formula has "
            f"{problem.n_parameters}."
        )
    objective = Objective(problem)
    value = objective.value(optimum.theta)
    if not abs(value - optimum.value) <= AGREEMENT * max(1.0, abs(optimum.value)):
        raise FileFormatError(
            f"The file holds the objective {optimum.value!r}, but its data and formula give "
            f"{value!r}: fit again from the data."
        )
    return solution_at(objective, optimum)


def _design(manifest: Mapping[str, Any], arrays: Arrays) -> Design:
    columns = {about["name"]: unpack_column(about, arrays) for about in manifest["columns"]}
    if any(len(column) != manifest["n_rows"] for column in columns.values()):
        raise ValueError("its columns differ in length")
    # without the library of the data, results come in pandas
    backend: Backend = manifest["frame"] if find_spec(manifest["frame"]) else "pandas"
    frame = FrameKind(backend, unpack_index(manifest["index"], arrays))
    offset = manifest["offset"]
    if offset is not None:
        offset = offset["column"] if "column" in offset else arrays[offset["array"]]
    design = build_design(
        manifest["formula"],
        Columns(MappingProxyType(columns), manifest["n_rows"], frame, tuple(columns)),
        weights=None if manifest["weights"] is None else arrays[manifest["weights"]],
        offset=offset,
        known=_unpack_known(manifest["known"], arrays),
    )
    y = arrays["response.npy"]
    if y.shape != design.y.shape or y.dtype != design.y.dtype:
        raise ValueError("its response has not one value for each row used")
    return replace(design, y=y, dropped=dict(manifest["dropped"]))


# -- weights and offset --------------------------------------------------------------------


def _pack_weights(design: Design, arrays: Arrays) -> str | None:
    if design.weights is None:
        return None
    arrays["weights.npy"] = _all_rows(design, design.weights)
    return "weights.npy"


def _pack_offset(design: Design, arrays: Arrays) -> dict[str, str] | None:
    """The argument ``offset``, without the terms ``offset(...)`` of the formula."""
    if design.spec.offset is not None:
        return {"column": design.spec.offset}
    if not design.spec.offset_array or design.offset is None:
        return None
    argument = design.offset
    if design.spec.parsed.offsets:
        nothing = np.zeros(design.n_rows)
        terms = design.spec.apply(design.columns, random=False, offset=nothing).offset
        argument = argument if terms is None else argument - terms[design.rows]
    arrays["offset.npy"] = _all_rows(design, argument)
    return {"array": "offset.npy"}


def _all_rows(design: Design, values: Floats) -> Floats:
    """Values of the rows used among all rows of the data; NaN leaves a row out again."""
    spread = np.full(design.n_rows, np.nan)
    spread[design.rows] = values
    return spread


# -- known matrices ------------------------------------------------------------------------


def _pack_known(design: Design, arrays: Arrays) -> dict[str, Any]:
    """Each matrix that the formula names, among the levels of all terms that name it.

    What stands between levels of different terms is never used, hence zero.
    """
    arguments = {term.label: term.argument for term in parse_formula(design.formula).random}
    parts: dict[str, list[tuple[NDArray[Any], Floats]]] = {}
    for term in design.random:
        argument = arguments[term.label]
        if term.matrix is not None and argument is not None:
            parts.setdefault(argument, []).append((level_text(term.levels), term.matrix))
    packed = {}
    for number, (name, matrices) in enumerate(parts.items()):
        labels, matrix = _united(matrices)
        arrays[f"known/{number}.npy"] = matrix
        where = pack_labels(f"known/{number}.labels", labels, arrays)
        packed[name] = {"matrix": f"known/{number}.npy", "labels": where}
    return packed


def _united(matrices: list[tuple[NDArray[Any], Floats]]) -> tuple[NDArray[Any], Floats]:
    labels = list(dict.fromkeys(label for levels, _ in matrices for label in levels))
    place = {label: i for i, label in enumerate(labels)}
    united = np.zeros((len(labels), len(labels)))
    for levels, matrix in matrices:
        own = [place[label] for label in levels]
        united[np.ix_(own, own)] = matrix
    return np.array(labels, dtype=object), united


def _unpack_known(packed: Mapping[str, Any], arrays: Arrays) -> dict[str, Any] | None:
    if not packed:
        return None
    import pandas as pd

    known = {}
    for name, about in packed.items():
        labels = unpack_labels(about["labels"], arrays)
        known[name] = pd.DataFrame(arrays[about["matrix"]], index=labels, columns=labels)
    return known


# -- optimum -------------------------------------------------------------------------------


def _pack_optimum(optimum: Optimum, arrays: Arrays) -> dict[str, Any]:
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


def _unpack_optimum(about: Mapping[str, Any], arrays: Arrays) -> Optimum:
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
