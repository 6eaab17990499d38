"""What power is simulated from: a fit with other parameters, on more groups or observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.data.frames import FrameKind
from mixedeffects.errors import ModelError, suggestion
from mixedeffects.fitting.estimates import RandomTermEstimate
from mixedeffects.fitting.fit import Fit, problem_of
from mixedeffects.formula.design import Design
from mixedeffects.formula.effects import RandomDesign
from mixedeffects.inference.draws import parametric_draws
from mixedeffects.inference.parameters import natural_parameters
from mixedeffects.inference.resampled_groups import rows_of_groups
from mixedeffects.inference.streams import Streams

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

# What ``extend`` calls repeated observations of every row.
WITHIN = "within"


# -- parameters ----------------------------------------------------------------------------


def with_parameters(
    fit: Fit,
    effects: Mapping[str, Any] | None,
    sds: Mapping[str, Any] | None,
    sigma: Any,
) -> Fit:
    """The fit as if it had estimated these coefficients and standard deviations.

    Its solution is still that of the data: what draws responses looks at the estimates alone.
    """
    estimates = fit.estimates
    beta = estimates.beta.copy()
    for name, value in (effects or {}).items():
        _check_known("effects", name, estimates.x_names)
        beta[estimates.x_names.index(name)] = _number(f"effects[{name!r}]", value)
    if sigma is not None and not _number("sigma", sigma) > 0.0:
        raise ModelError(f"sigma={sigma!r} is not positive.")
    residual = estimates.sigma if sigma is None else float(sigma)
    terms = _terms_with(fit, sds or {})
    terms = tuple(replace(t, factor=_root(t.covariance) / residual) for t in terms)
    return replace(fit, estimates=replace(estimates, beta=beta, sigma=residual, terms=terms))


def _terms_with(fit: Fit, sds: Mapping[str, Any]) -> tuple[RandomTermEstimate, ...]:
    known = {p.name: p for p in natural_parameters(fit) if p.kind == "sd"}
    terms = list(fit.estimates.terms)
    for name, value in sds.items():
        _check_known("sds", name, list(known))
        if not _number(f"sds[{name!r}]", value) >= 0.0:
            raise ModelError(f"sds[{name!r}]={value!r} is negative.")
        parameter = known[name]
        term = terms[parameter.number]
        columns = range(len(term.names)) if parameter.term1 is None else parameter.columns
        covariance = _rescaled(term.covariance, columns, float(value))
        terms[parameter.number] = replace(term, covariance=covariance)
    return tuple(terms)


def _rescaled(covariance: Floats, columns: Sequence[int], deviation: float) -> Floats:
    """With this deviation of some columns; correlations stay, those of a zero one are zero."""
    sizes = np.sqrt(np.diagonal(covariance))
    scale = np.ones(len(covariance))
    for i in columns:
        scale[i] = deviation / sizes[i] if sizes[i] > 0.0 else 0.0
    changed = covariance * np.outer(scale, scale)
    for i in columns:
        changed[i, i] = deviation**2
    return changed


def _root(covariance: Floats) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    root: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return root


def _check_known(argument: str, name: Any, known: Sequence[str]) -> None:
    if name not in known:
        near = suggestion(str(name), known)
        raise ModelError(f"{argument}: {name!r} is not in the model.{near} It has: {_list(known)}.")


def _number(what: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ModelError(f"{what}={value!r} is not a number.") from None
    if not np.isfinite(number):
        raise ModelError(f"{what}={value!r} is not finite.")
    return number


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


# -- sizes ---------------------------------------------------------------------------------


def sizes_of(fit: Fit, extend: Mapping[str, Any] | None) -> tuple[str | None, tuple[int, ...]]:
    """What grows, and to which sizes; (None, (nobs,)) where nothing does.

    Raises
    ------
    ModelError
        If it is no grouping factor, or the sizes do not increase from one on.
    """
    if extend is None:
        return None, (fit.estimates.nobs,)
    if not isinstance(extend, Mapping) or len(extend) != 1:
        raise ModelError(
            f"extend={extend!r} is not a grouping factor with its sizes, such as "
            "extend={'Subject': [10, 20, 40]}, nor extend={'within': [1, 2, 4]}."
        )
    (along, given), groups = next(iter(extend.items())), _groups(fit.design)
    if along != WITHIN and along not in groups:
        near = suggestion(str(along), groups)
        raise ModelError(
            f"extend: {along!r} is not a grouping factor.{near} There are {_list(groups)}, and "
            f"{WITHIN!r} for repeated observations of every row."
        )
    return along, _sizes(along, given)


def _groups(design: Design) -> list[str]:
    return list(dict.fromkeys(random.group for random in design.random))


def _sizes(along: str, given: Any) -> tuple[int, ...]:
    sizes = np.atleast_1d(np.asarray(given))
    whole = sizes.ndim == 1 and len(sizes) > 0 and np.issubdtype(sizes.dtype, np.integer)
    if not whole or sizes[0] < 1 or np.any(np.diff(sizes) <= 0):
        raise ModelError(
            f"extend: the sizes of {along!r} are {given!r}; give whole numbers from one on that "
            "increase."
        )
    return tuple(sizes.tolist())


def resized(truth: Fit, along: str | None, size: int) -> Fit:
    """The same parameters on ``size`` groups, or on ``size`` observations of every row.

    New groups repeat the rows of those there are, in their order, from the first on; what is
    nested in them is new too, what is crossed with them stays. Fewer groups are the first ones.

    Raises
    ------
    ModelError
        If a coefficient cannot be estimated at this size, or related levels would be repeated.
    """
    if along is None:
        return truth
    design = _repeated(truth.design, along, size)
    terms = tuple(
        replace(term, levels=random.levels, modes=np.zeros((len(random.levels), len(term.names))))
        for term, random in zip(truth.estimates.terms, design.random, strict=True)
    )
    estimates = replace(truth.estimates, nobs=len(design.y), terms=terms)
    larger = replace(truth, design=design, estimates=estimates)
    draws = parametric_draws(larger, "marginal", Streams(0))
    y = draws.mean + draws.deviations(0, 1)[:, 0]
    design = replace(design, y=y if design.offset is None else y + design.offset)
    problem = problem_of(design, truth.problem.reml)
    lost = sorted(set(estimates.kept) - set(problem.basis.kept))
    if lost:
        raise ModelError(
            f"With {size} of {along!r} the data do not tell "
            f"{_list([design.x_names[j] for j in lost])} apart from the rest: groups are taken "
            "in their order, so use more of them."
        )
    return replace(larger, design=design, problem=problem)


def _repeated(design: Design, along: str, size: int) -> Design:
    """The rows of each group again until there are ``size``; or each row ``size`` times."""
    n = len(design.y)
    if along == WITHIN and along not in _groups(design):
        taken, copy = np.tile(np.arange(n), size), np.zeros(n * size, dtype=np.intp)
        return _taken(design, taken, [copy] * len(design.random))
    unit = next(r.codes for r in design.random if r.group == along).astype(np.int64)
    rows = rows_of_groups(unit)
    chosen = np.arange(size) % len(rows)
    taken = np.concatenate([rows[g] for g in chosen])
    copy = np.repeat(np.arange(size) // len(rows), [len(rows[g]) for g in chosen])
    return _taken(
        design, taken, [copy if _within(r.codes, unit) else 0 * copy for r in design.random]
    )


def _within(codes: NDArray[Any], unit: NDArray[Any]) -> bool:
    """Whether each level lies within one level of the unit."""
    owner = np.zeros(int(codes.max()) + 1, dtype=unit.dtype)
    owner[codes] = unit
    return bool(np.array_equal(owner[codes], unit))


def _taken(design: Design, taken: Places, copies: Sequence[Places]) -> Design:
    random = tuple(
        _with_levels(r, taken, copy) for r, copy in zip(design.random, copies, strict=True)
    )
    return replace(
        design,
        y=design.y[taken],
        X=design.X[taken],
        weights=None if design.weights is None else design.weights[taken],
        offset=None if design.offset is None else design.offset[taken],
        random=random,
        rows=np.arange(len(taken)),
        n_rows=len(taken),
        columns=design.columns.take(design.rows[taken]),
        frame=FrameKind(design.frame.backend),
    )


def _with_levels(random: RandomDesign, taken: Places, copy: Places) -> RandomDesign:
    """The term on these rows; the levels of each copy are its own."""
    count = len(random.levels)
    keys, codes = np.unique(copy * count + random.codes[taken], return_inverse=True)
    if random.matrix is not None and keys.max() >= count:
        raise ModelError(
            f"The levels of {random.group!r} are related through a known matrix, which says "
            "nothing of new ones: extend another grouping factor, or 'within'."
        )
    labels = random.levels[keys % count]
    if keys.max() >= count:
        labels = np.array(
            [
                label if number == 0 else f"{label} (copy {number + 1})"
                for label, number in zip(labels, keys // count, strict=True)
            ],
            dtype=object,
        )
    matrix = None if random.matrix is None else random.matrix[np.ix_(keys, keys)]
    return replace(
        random,
        values=np.ascontiguousarray(random.values[taken]),
        codes=cast(NDArray[np.int32], codes.astype(np.int32)),
        levels=labels,
        matrix=matrix,
    )
