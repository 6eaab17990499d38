"""A design as what a file must hold to build it again: its formulas and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.columns import level_text
from mixedeffects.data.frames import Columns, FrameKind
from mixedeffects.data.sources import Backend
from mixedeffects.formula.design import Design, build_design
from mixedeffects.formula.grammar import parse_formula
from mixedeffects.formula.response import ResponseKind
from mixedeffects.saving.columns import (
    Arrays,
    pack_column,
    pack_index,
    pack_labels,
    unpack_column,
    unpack_index,
    unpack_labels,
)

__all__ = ["pack_design", "unpack_design"]

Floats = NDArray[np.float64]


def pack_design(design: Design, arrays: Arrays) -> dict[str, Any]:
    """Put a design's columns among the arrays; the rest for the manifest."""
    # a refit has another response than its columns
    arrays["response.npy"] = design.y
    columns = design.columns.columns.values()
    return {
        "formula": design.formula,
        "others": {name: _right_side(own) for name, own in design.others.items()},
        "n_rows": design.n_rows,
        "dropped": dict(design.dropped),
        "frame": design.frame.backend,
        "index": pack_index(design.frame.index, arrays),
        "columns": [pack_column(i, column, arrays) for i, column in enumerate(columns)],
        "weights": _pack_weights(design, arrays),
        "offset": _pack_offset(design, arrays),
        "known": _pack_known(design, arrays),
    }


def _right_side(design: Design) -> str:
    return design.formula.removeprefix(design.response).strip()


def unpack_design(
    manifest: Mapping[str, Any], arrays: Arrays, kind: ResponseKind = "numeric"
) -> Design:
    """The design that ``pack_design`` described; ``kind`` of response of its family."""
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
        kind=kind,
        others=manifest.get("others"),
    )
    y = arrays["response.npy"]
    if y.shape != design.y.shape or y.dtype != design.y.dtype:
        raise ValueError("its response has not one value for each row used")
    return replace(design, y=y, dropped=dict(manifest["dropped"]))


# -- weights and offset --------------------------------------------------------------------


def _pack_weights(design: Design, arrays: Arrays) -> str | None:
    """The argument ``weights``, which beside a proportion is its number of trials."""
    given = design.weights
    if design.trials is not None and parse_formula(design.formula).cbind is None:
        given = design.trials
    if given is None or (given is design.trials and (given == 1.0).all()):
        return None
    arrays["weights.npy"] = _all_rows(design, given)
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
