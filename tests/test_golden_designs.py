"""Designs alone: with the dense oracle at the reference's θ they give the reference's numbers.

So a wrong contrast, level or order of terms shows here, apart from anything that fitting does.
"""

from __future__ import annotations

import numpy as np
import pytest

import golden
import oracle
from golden import assert_close
from mixedeffects.covariance import build
from mixedeffects.formula.design import build_design

SMALL = [id_ for id_ in golden.cases("lmm") if golden.load_case(id_).results["n_obs"] <= 300]


@pytest.mark.parametrize("id_", SMALL)
def test_design_gives_reference_likelihood(id_):
    case = golden.load_case(id_)
    design = build_design(case.formula, case.data, weights=case.weights)
    theta, terms = np.atleast_1d(case.results["theta"]), []
    for random in design.random:
        structure = build(random.structure, len(random.names), random.positions)
        own, theta = np.split(theta, [structure.n_parameters])
        terms.append(
            oracle.Term(random.values, random.codes, structure.factor(own), len(random.levels))
        )
    kept = [name for name in design.x_names if name != "Days2"]  # aliased in one case
    X = design.X[:, [design.x_names.index(name) for name in kept]]
    options = {"weights": design.weights, "offset": design.offset, "reml": case.reml}
    solution = oracle.solve(design.y, X, terms, **options)

    assert len(theta) == 0
    assert kept == [case.term(name) for name in case.results["fixef"]]
    assert_close(solution.loglik, case.results["loglik"], {"atol": 1e-6}, what="loglik")
    se = np.array(list(case.results["se"].values()))
    expected = list(case.results["fixef"].values())
    assert_close(solution.beta, expected, {"se_frac": 1e-6, "rtol": 1e-8}, se=se, what="fixef")
    assert_close(solution.fitted[:20], case.results["fitted_first20"], {"rtol": 1e-6})

    groups = {case.group(name) for name in case.results["n_groups"]}
    assert {random.group for random in design.random} == groups
    for random, b in zip(design.random, solution.b, strict=True):
        (name,) = [g for g in case.results["ranef"] if case.group(g) == random.group]
        block = case.results["ranef"][name]
        columns = case.terms(block["columns"])
        at = [columns.index(term) for term in random.names]
        levels = [str(level) for level in random.levels]
        rows = [levels.index(case.level(name, level)) for level in block["levels"]]
        reference = np.array(block["values"])[:, at]
        assert_close(b[rows], reference, case.tolerances["ranef"], what=f"ranef {random.group}")


def reference_covariance(block, positions):
    """Σ as printed by glmmTMB or nlme, which name some blocks by one deviation and a parameter.

    That of ``ar1`` is φ, of ``exp`` and ``gau`` the logarithm of the range, of ``ou`` of the rate.
    """
    if block.get("structure") in ("exp", "gau", "ou"):
        distances = np.sqrt(((positions[:, None] - positions) ** 2).sum(axis=2))
        length = np.exp(block["theta_internal_all"][1] * (-1 if block["structure"] == "ou" else 1))
        correlation = np.exp(-((distances / length) ** (1 + (block["structure"] == "gau"))))
    elif "ar1_phi" in block:
        times = np.arange(10)
        correlation = block["ar1_phi"] ** np.abs(np.subtract.outer(times, times))
    else:
        correlation = np.array(block["corr"])
    sd = np.broadcast_to(block["sd"], len(correlation))
    return np.outer(sd, sd) * correlation


@pytest.mark.parametrize("id_", golden.cases("glmmTMB") + golden.cases("nlme"))
def test_structures_hold_the_reference_covariance(id_):
    case = golden.load_case(id_)
    design = build_design(case.formula, case.data)
    (random,), (block,) = design.random, case.results["varcorr"]
    relative = reference_covariance(block, random.positions) / case.results["sigma"] ** 2
    structure = build(random.structure, len(random.names), random.positions)
    factor = structure.factor(structure.parameters(np.linalg.cholesky(relative)))
    np.testing.assert_allclose(factor @ factor.T, relative, rtol=1e-9, atol=1e-9)
    term = oracle.Term(random.values, random.codes, factor, len(random.levels))
    solution = oracle.solve(design.y, design.X, [term], reml=case.reml)
    assert_close(solution.loglik, case.results["loglik"], {"atol": 1e-6}, what="loglik")
