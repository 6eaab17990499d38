"""Every structure: its derivatives, its inverse, and the covariance that it stands for."""

from __future__ import annotations

import numpy as np
import pytest

from mixedeffects.covariance import STRUCTURES, build
from mixedeffects.errors import ModelError

SPATIAL = ("exp", "gau", "ou")
CASES = [
    (name, k, positions)
    for name in STRUCTURES
    for k, positions in [
        (1, None),
        (2, None),
        (3, None),
        (5, None),
        *([(4, (0, 2, 5, 6)), (3, (8, 10, 14)), (4, (-3, -1, 2, 6))] if name == "ar1" else []),
        *([(4, (0.1, 0.25, 3, 7)), (3, (-40, 10.5, 14))] if name in SPATIAL else []),
        *([(4, ((0, 1), (3, 2.5), (3, 2), (9, 9)))] if name in ("exp", "gau") else []),
    ]
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")
def structure(request):
    return build(*request.param)


def points(structure):
    """Random points, the start, and points with zero deviations and correlations of ±1."""
    rng = np.random.default_rng(20)
    m = structure.n_parameters
    d = structure.n_deviations or m
    random = [
        np.concatenate([rng.uniform(0.2, 2, d), rng.uniform(-0.9, 1.2, m - d)]) for _ in range(3)
    ]
    zero_first, all_zero, upper = random[0].copy(), random[0].copy(), random[1].copy()
    zero_first[0] = 0.0
    all_zero[:d] = 0.0
    if m > d:
        upper[d:] = structure.parameters(np.ones((structure.n_columns, 1)) * [[1.0]])[d:]
    return [*random, structure.start(), zero_first, all_zero, upper, -random[2]]


def smooth_points(structure):
    """Those where the factor has derivatives.

    Where all of ``gau``'s correlations are 1, the matrix behind its third row and on is the
    nugget, of which the root bends within its own square root.
    """
    found = points(structure)
    if structure.name == "gau":
        found = [theta for theta in found if np.all(np.abs(theta[1:]) > 0.1)]
    return found


def difference(function, theta, step=0.02):
    """Eighth-order central differences along each parameter: (m, ...)."""
    weights = np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280])
    return np.array(
        [
            sum(
                w * (function(theta + j * step * e) - function(theta - j * step * e)) / step
                for j, w in enumerate(weights, start=1)
            )
            for e in np.eye(len(theta))
        ]
    )


def test_shapes_and_lower_triangle(structure):
    k, m = structure.n_columns, structure.n_parameters
    for theta in points(structure):
        factor = structure.factor(theta)
        assert factor.shape == (k, k)
        assert structure.jacobian(theta).shape == (m, k, k)
        assert not np.any(np.triu(factor, 1))
        assert not np.any(np.triu(structure.jacobian(theta), 1))
    assert len(structure.names([f"x{i}" for i in range(k)])) == m == len(structure.start())


def test_jacobian_against_differences(structure):
    for theta in smooth_points(structure):
        expected = difference(structure.factor, theta)
        np.testing.assert_allclose(structure.jacobian(theta), expected, atol=1e-9)


def test_second_against_differences(structure):
    for theta in smooth_points(structure):
        expected = difference(structure.jacobian, theta)
        second = structure.second(theta)
        if second is None:
            np.testing.assert_allclose(expected, 0, atol=1e-9)
        else:
            np.testing.assert_allclose(second, expected, atol=1e-8)
            np.testing.assert_allclose(second, second.swapaxes(0, 1), atol=1e-14)


def test_parameters_invert_factor(structure):
    for theta in points(structure):
        factor = structure.factor(theta)
        again = structure.parameters(factor)
        back = structure.factor(again)
        np.testing.assert_allclose(back @ back.T, factor @ factor.T, atol=1e-12)
        assert np.all(np.diagonal(back) >= 0)
    for theta in points(structure)[:3]:
        if structure.name != "us":
            again = structure.parameters(structure.factor(theta))
            if structure.name in SPATIAL:  # even in the angle
                theta = np.abs(theta)
            np.testing.assert_allclose(again, theta, atol=1e-10)


def test_parameters_of_any_root(structure):
    rng = np.random.default_rng(3)
    k = structure.n_columns
    for theta in points(structure):
        factor = structure.factor(theta)
        rotation = np.linalg.qr(rng.normal(size=(k, k)))[0]
        back = structure.factor(structure.parameters(factor @ rotation))
        np.testing.assert_allclose(back @ back.T, factor @ factor.T, atol=1e-7)


def test_positive_definite_inside(structure):
    for theta in points(structure)[:3]:
        factor = structure.factor(theta)
        assert np.linalg.eigvalsh(factor @ factor.T)[0] > 0


def test_linear_pattern(structure):
    if structure.linear_pattern is None:
        return
    theta = points(structure)[0]
    factor = np.zeros((structure.n_columns, structure.n_columns))
    factor[structure.linear_pattern] = theta
    np.testing.assert_array_equal(structure.factor(theta), factor)
    assert structure.second(theta) is None


def test_closure(structure):
    """Maps of the columns that the structure claims to absorb."""
    rng = np.random.default_rng(8)
    k = structure.n_columns
    maps = {
        "affine": rng.normal(size=(k, k)),
        "scaling": np.diag(rng.uniform(0.5, 2, k)),
        "common": 1.7 * np.eye(k),
    }
    root = maps[structure.closure] @ structure.factor(points(structure)[0])
    back = structure.factor(structure.parameters(root))
    np.testing.assert_allclose(back @ back.T, root @ root.T, atol=1e-12)


def test_start_is_identity(structure):
    if structure.name in SPATIAL:
        pytest.skip("no correlation is infinitely far from any")
    factor = structure.factor(structure.start())
    np.testing.assert_allclose(factor @ factor.T, np.eye(structure.n_columns), atol=0.11)


def test_deviations_enter_linearly(structure):
    """Twice the deviations, zero included, is twice the factor."""
    for theta in points(structure):
        d = structure.n_deviations or len(theta)
        twice = np.concatenate([2 * theta[:d], theta[d:]])
        np.testing.assert_allclose(structure.factor(twice), 2 * structure.factor(theta))


@pytest.mark.parametrize("rho", [-0.24, -0.1, 0.0, 0.5, 0.999])
@pytest.mark.parametrize("name", ["cs", "homcs"])
def test_compound_symmetry(name, rho):
    structure = build(name, 5)
    deviations = np.ones(5) if name == "homcs" else np.arange(1.0, 6.0)
    covariance = np.outer(deviations, deviations) * (np.full((5, 5), rho) + (1 - rho) * np.eye(5))
    factor = structure.factor(structure.parameters(np.linalg.cholesky(covariance)))
    np.testing.assert_allclose(factor @ factor.T, covariance, atol=1e-12)
    np.testing.assert_allclose(factor, np.linalg.cholesky(covariance), atol=1e-12)


@pytest.mark.parametrize("name", ["cs", "homcs"])
def test_compound_symmetry_reaches_both_bounds(name):
    structure = build(name, 4)
    deviations = np.ones(structure.n_deviations)
    for angle, rho in [(np.pi - np.pi / 3, 1.0), (-np.pi / 3, -1 / 3)]:
        factor = structure.factor(np.append(deviations, angle))
        expected = np.full((4, 4), rho) + (1 - rho) * np.eye(4)
        np.testing.assert_allclose(factor @ factor.T, expected, atol=1e-15)


@pytest.mark.parametrize("rho", [-1.0, -0.7, 0.0, 0.3, 0.95, 1.0])
def test_ar1_with_gaps(rho):
    times = np.array([3, 5, 8, 9, 20])
    structure = build("ar1", 5, times)
    factor = structure.factor(np.array([1.5, np.arcsin(rho)]))
    expected = 1.5**2 * rho ** np.abs(times[:, None] - times).astype(float)
    np.testing.assert_allclose(factor @ factor.T, expected, atol=1e-13)


def test_ar1_counts_time_in_its_largest_unit():
    assert build("ar1", 4, [8, 10, 12, 14]) == build("ar1", 4, [0, 1, 2, 3])
    assert build("ar1", 4, [8, 10, 12, 14]).start()[1] == 0.0


def test_ar1_starts_off_the_stationary_point():
    structure = build("ar1", 3, [0, 2, 5])
    assert np.any(np.abs(structure.jacobian(structure.start())[1]) > 0.1)


def places(name, k=8):
    rng = np.random.default_rng(4)
    return np.sort(rng.uniform(0, 10, (k, 1 if name == "ou" else 2)), axis=0)


@pytest.mark.parametrize("tau", [0.0, 1e-3, 0.4, 1.0, 3.0])
@pytest.mark.parametrize("name", SPATIAL)
def test_spatial_covariance_and_its_derivatives(name, tau):
    """TT' against the closed form, of which it leaves out 1e-10 for the root's sake."""
    at = places(name)
    structure = build(name, len(at), at)
    distance = np.sqrt(((at[:, None] - at) ** 2).sum(axis=2)) / structure.unit
    power = distance**structure.power
    theta = np.array([1.5, tau])
    T, J, S = structure.factor(theta), structure.jacobian(theta), structure.second(theta)
    expected = 1.5**2 * np.exp(-(tau**2) * power)
    np.testing.assert_allclose(T @ T.T, expected, atol=1e-9)
    np.testing.assert_allclose(np.diagonal(T @ T.T), 1.5**2, rtol=1e-14)
    slope = J[1] @ T.T + T @ J[1].T
    np.testing.assert_allclose(slope, -2 * tau * power * expected, atol=2e-9)
    bend = S[1, 1] @ T.T + T @ S[1, 1].T + 2 * J[1] @ J[1].T
    np.testing.assert_allclose(bend, (4 * tau**2 * power - 2) * power * expected, atol=2e-8)


def test_spatial_range_and_unit_correlation():
    structure = build("exp", 3, [[0, 0], [3, 4], [0, 5]])
    theta = structure.parameters(np.linalg.cholesky(4 * np.exp(-structure._distances() / 7)))
    assert structure.range(theta[1]) == pytest.approx(7, rel=1e-12)
    assert structure.unit_name == "distance 5"
    assert structure.unit_correlation(theta[1])[0] == pytest.approx(np.exp(-5 / 7))
    assert structure.unit_correlation(theta[1])[1] == pytest.approx(
        difference(lambda t: structure.unit_correlation(t[0])[0], theta[1:])[0], rel=1e-9
    )
    assert build("gau", 2, [0, 3]).range(0.5) == 6
    assert build("ou", 2, [0, 3]).range(0.0) == np.inf


def test_spatial_parameters_where_the_first_position_is_far_from_all():
    structure = build("exp", 4, [0, 1e5, 1e5 + 1, 1e5 + 3])
    correlation = np.exp(-structure._distances() / 2)
    theta = structure.parameters(np.linalg.cholesky(correlation))
    assert structure.range(theta[1]) == pytest.approx(2, rel=1e-9)


def test_many_near_positions_have_a_root():
    """A smooth process on 200 points is of far lower rank, but for the nugget."""
    structure = build("gau", 200, np.linspace(0, 1, 200))
    for tau in (0.0, 0.01, 0.5, 2.0):
        assert np.all(np.isfinite(structure.second(np.array([1.0, tau]))))


def test_ou_is_ar1_at_whole_times():
    times = [0, 1, 3, 4, 9]
    ou, ar1 = build("ou", 5, times), build("ar1", 5, times)
    first = ar1.factor(np.array([1.5, np.arcsin(0.6)]))
    again = ou.factor(ou.parameters(first))
    np.testing.assert_allclose(again, first, atol=1e-9)


def test_toeplitz_reaches_what_a_cone_of_free_correlations_cannot_leave():
    structure = build("toep", 4)
    correlations = np.array([1.0, 0.6, 0.1, -0.3])
    matrix = correlations[np.abs(np.subtract.outer(range(4), range(4)))]
    theta = structure.parameters(np.linalg.cholesky(matrix))
    factor = structure.factor(theta)
    np.testing.assert_allclose(factor, np.linalg.cholesky(matrix), atol=1e-12)


def test_known_is_unstructured_over_columns():
    assert build("known", 3) == build("us", 3)


def test_unstructured_follows_lme4():
    structure = build("us", 3)
    assert structure.names("abc") == ("a", "b.a", "c.a", "b", "c.b", "c")
    np.testing.assert_array_equal(
        structure.factor(np.arange(1.0, 7.0)), [[1, 0, 0], [2, 4, 0], [3, 5, 6]]
    )


def test_only_correlated_structures_report_correlations():
    assert {name for name in STRUCTURES if not build(name, 2).correlated} == {"diag", "id"}
    assert not any(build(name, 1).correlated for name in STRUCTURES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ar2", 3), "Unknown covariance structure 'ar2'. Did you mean 'ar1'"),
        (("ar1", 3, [0, 0.5, 1]), "0.5 is not whole"),
        (("ar1", 3, [0, 2, 1]), "increase"),
        (("toep", 3, [0, 1, 4]), "equally spaced"),
        (("exp", 2, [[0, 0], [0, 0]]), r"same but for rounding, \(0, 0\) and \(0, 0\)"),
        (("gau", 3, [1, 0.3, 0.1 + 0.2]), "same but for rounding, 0.3 and 0.3"),
        (("ou", 2, [0, np.inf]), "finite"),
        (("ou", 2, [[0, 1], [1, 2]]), "one number each"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ModelError, match=words):
        build(*arguments)


def test_bounds_keep_a_structure_what_it_is(structure):
    """Within its bounds every θ gives the Σ of its canonical form; negative deviations may not."""
    rng = np.random.default_rng(3)
    m, d = structure.n_parameters, structure.n_deviations
    assert structure.lower.shape == (m,)
    for _ in range(5):
        theta = np.concatenate([rng.uniform(-2, 2, d), rng.uniform(-0.9, 1.2, m - d)])
        factor = structure.factor(np.maximum(theta, structure.lower))
        again = structure.factor(structure.parameters(factor))
        np.testing.assert_allclose(again @ again.T, factor @ factor.T, atol=1e-10)
