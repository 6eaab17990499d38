"""Coordinates of a model's variances in which one natural parameter is a coordinate.

(θ, log σ) is a smooth function of (x, t): t is the parameter or an increasing function of
it, x the nuisance.  A zero standard deviation and a correlation of ±1 are ordinary points
here, so that a profile may begin or end there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mixedeffects.covariance import AbstractCovariance, AbstractDecay, AbstractSpatial
from mixedeffects.covariance.jets import Jet, variables
from mixedeffects.covariance.scaled import AbstractScaledCorrelation
from mixedeffects.fitting.lmm import Objective
from mixedeffects.fitting.problem import Term
from mixedeffects.inference.parameters import Parameter

Floats = NDArray[np.float64]

# A correlation that its own angle moves by less than this, a radian, is at the angle's end.
END = 1e-10
# exp(-τ²) beyond this τ is zero to all digits of a correlation.
DECLINED = 6.0


@dataclass(frozen=True)
class AbstractCoordinates(ABC):
    """Coordinates z = (x, t) of y = (θ, log σ), (m + 1,).

    Here y is z with t at ``position``.

    Attributes
    ----------
    position : int
    low, high : float
        The range of t.
    lower : ndarray, shape (m + 1,)
        Bounds of y.
    """

    position: int
    low: float
    high: float
    lower: Floats

    @abstractmethod
    def value(self, t: float) -> float:
        """The natural parameter in the user's units."""

    def split(self, y: Floats) -> tuple[Floats, float]:
        """(x, t) of y."""
        return np.delete(y, self.position), float(y[self.position])

    def join(self, x: Floats, t: float) -> Floats:
        """y of (x, t)."""
        return np.insert(x, self.position, t)

    def jacobian(self, x: Floats, t: float) -> Floats:
        """∂y/∂z (m + 1, m + 1)."""
        places = np.arange(len(x) + 1)
        return np.eye(len(places))[:, np.append(np.delete(places, self.position), self.position)]

    def bend(self, x: Floats, t: float, gradient: Floats) -> Floats | None:
        """Σ gradient_i ∂²y_i/∂z∂z' (m + 1, m + 1), or None where y is linear in z."""
        return None

    @property
    def bounds(self) -> Floats:
        """Lower bounds (m,) of x."""
        return np.delete(self.lower, self.position)


@dataclass(frozen=True)
class ResidualDeviation(AbstractCoordinates):
    """t = log σ; ``scale`` of the response."""

    scale: float

    def value(self, t: float) -> float:
        return float(self.scale * np.exp(t))


@dataclass(frozen=True)
class Angle(AbstractCoordinates):
    """t is the angle of a structure's correlation."""

    covariance: AbstractCovariance

    def value(self, t: float) -> float:
        if isinstance(self.covariance, AbstractDecay):
            return float(self.covariance.unit_correlation(t)[0])
        theta = np.zeros(self.covariance.n_parameters)
        theta[: self.covariance.n_deviations] = 1.0
        theta[self.covariance.n_deviations] = t
        root = self.covariance.factor(theta)
        return float(root[0] @ root[1])


@dataclass(frozen=True)
class Decline(AbstractCoordinates):
    """t = -τ of a spatial structure, with which its unit correlation exp(-τ²) grows."""

    covariance: AbstractSpatial

    def value(self, t: float) -> float:
        return float(self.covariance.unit_correlation(t)[0])

    def split(self, y: Floats) -> tuple[Floats, float]:
        x, t = super().split(y)
        return x, -abs(t)

    def join(self, x: Floats, t: float) -> Floats:
        return super().join(x, -t)

    def jacobian(self, x: Floats, t: float) -> Floats:
        jacobian = super().jacobian(x, t)
        jacobian[:, -1] *= -1.0
        return jacobian


@dataclass(frozen=True)
class Deviation(AbstractCoordinates):
    """t = θ_i σ, a standard deviation in multiples of ``unit``."""

    unit: float

    def value(self, t: float) -> float:
        return self.unit * t

    def split(self, y: Floats) -> tuple[Floats, float]:
        return np.delete(y, self.position), float(y[self.position] * np.exp(y[-1]))

    def join(self, x: Floats, t: float) -> Floats:
        return np.insert(x, self.position, t * np.exp(-x[-1]))

    def jacobian(self, x: Floats, t: float) -> Floats:
        jacobian = super().jacobian(x, t)
        shrink = np.exp(-x[-1])
        jacobian[self.position, -2:] = -t * shrink, shrink
        return jacobian

    def bend(self, x: Floats, t: float, gradient: Floats) -> Floats:
        size = len(x) + 1
        bend = np.zeros((size, size))
        shrink = gradient[self.position] * np.exp(-x[-1])
        bend[-2, -2], bend[-2, -1], bend[-1, -2] = t * shrink, -shrink, -shrink
        return bend


@dataclass(frozen=True)
class Correlation(AbstractCoordinates):
    """t is the arcsine of a free term's correlation between a'b and c'b.

    The axes Q put a at r₁₁e₁ and c at r₁₂e₁ + r₂₂e₂, so with T = QL the first two rows of L
    hold it: L₁₁ = w, r₁₂w + r₂₂L₂₁ = s sin t, r₂₂L₂₂ = s cos t, and x holds w and s in the
    places of L₁₁ and L₂₁ (that of L₂₂, ``position``, is t's).
    """

    first: int
    r12: float
    r22: float

    def value(self, t: float) -> float:
        return float(np.sin(t))

    def split(self, y: Floats) -> tuple[Floats, float]:
        along = self.r12 * y[self.first] + self.r22 * y[self.first + 1]
        across = self.r22 * y[self.position]
        x = np.delete(y, self.position)
        x[self.first + 1] = np.hypot(along, across)
        return x, float(np.arctan2(along, across))

    def join(self, x: Floats, t: float) -> Floats:
        w, s = x[self.first], x[self.first + 1]
        y = np.insert(x, self.position, s * np.cos(t) / self.r22)
        y[self.first + 1] = (s * np.sin(t) - self.r12 * w) / self.r22
        return y

    def jacobian(self, x: Floats, t: float) -> Floats:
        s, first, second = x[self.first + 1], self.first, self.first + 1
        jacobian = super().jacobian(x, t)
        jacobian[second, first] = -self.r12 / self.r22
        jacobian[[second, self.position], second] = np.sin(t) / self.r22, np.cos(t) / self.r22
        jacobian[[second, self.position], -1] = (
            s * np.cos(t) / self.r22,
            -s * np.sin(t) / self.r22,
        )
        return jacobian

    def bend(self, x: Floats, t: float, gradient: Floats) -> Floats:
        s, second = x[self.first + 1], self.first + 1
        along, across = gradient[[second, self.position]] / self.r22
        bend = np.zeros((len(x) + 1, len(x) + 1))
        bend[second, -1] = bend[-1, second] = along * np.cos(t) - across * np.sin(t)
        bend[-1, -1] = -s * (along * np.sin(t) + across * np.cos(t))
        return bend


@dataclass(frozen=True)
class Lag(AbstractCoordinates):
    """t is a Toeplitz term's correlation at a ``lag``, increasing in the lag's own angle.

    They end where the lag's partial correlation is ±1.
    """

    covariance: AbstractScaledCorrelation
    lag: int

    def value(self, t: float) -> float:
        return t

    def split(self, y: Floats) -> tuple[Floats, float]:
        return np.delete(y, self.position), float(self._correlation(y).value[self.lag, 0])

    def join(self, x: Floats, t: float) -> Floats:
        y = np.insert(x, self.position, 0.0)
        least = self._correlation(y).value[self.lag, 0]
        y[self.position] = 0.5 * np.pi
        most = self._correlation(y).value[self.lag, 0]
        # affine in the sine of the angle; where no angle gives t the likelihood is not defined
        with np.errstate(invalid="ignore", divide="ignore"):
            y[self.position] = np.arcsin((t - least) / (most - least))
        return y

    def jacobian(self, x: Floats, t: float) -> Floats:
        jacobian = super().jacobian(x, t)
        y = self.join(x, t)
        slopes = np.zeros(len(y))
        slopes[self._angles] = self._correlation(y).first[:, self.lag, 0]
        own = slopes[self.position] if abs(slopes[self.position]) > END else np.nan
        jacobian[self.position, :-1] = np.delete(-slopes / own, self.position)
        jacobian[self.position, -1] = 1.0 / own
        return jacobian

    def bend(self, x: Floats, t: float, gradient: Floats) -> Floats:
        root, jacobian = self._correlation(self.join(x, t)), self.jacobian(x, t)
        second = np.zeros((len(x) + 1, len(x) + 1))
        second[self._angles, self._angles] = root.second[:, :, self.lag, 0]
        weight = gradient[self.position] * jacobian[self.position, -1]
        bend: Floats = -weight * (jacobian.T @ second @ jacobian)
        return bend

    @property
    def _angles(self) -> slice:
        start = self.position - self.lag + 1
        return slice(start, start + len(self.covariance.angle_names))

    def _correlation(self, y: Floats) -> Jet:
        return self.covariance.correlation_root(variables(y[self._angles]))


def coordinates(parameter: Parameter, objective: Objective) -> AbstractCoordinates:
    """Coordinates for a σ, standard deviation or correlation; turns the objective's axes to it."""
    problem, m = objective.problem, objective.problem.n_parameters
    lower = np.concatenate([*(t.covariance.lower for t in problem.terms), [-np.inf]])
    if parameter.kind == "sigma":
        return ResidualDeviation(m, -np.inf, np.inf, lower, problem.scale)

    def deviation(position: int, low: float, high: float, lower: Floats, unit: float) -> Deviation:
        return Deviation(position, low, high, lower, problem.scale * unit)

    return of_term(parameter, problem.terms, objective.orient, lower, deviation)


def of_term(
    parameter: Parameter,
    terms: Sequence[Term],
    orient: Callable[[int, Floats], None],
    lower: Floats,
    deviation: Callable[[int, float, float, Floats, float], AbstractCoordinates],
) -> AbstractCoordinates:
    """Coordinates for a standard deviation, made by ``deviation``, or a correlation.

    ``orient`` turns the axes of a free term to it; ``lower``, the bounds of y.
    """
    term = terms[parameter.number]
    if term.covariance.closure == "affine":
        rows = np.linalg.inv(term.map)[list(parameter.columns)].T
        axes, triangle = _axes(cast(Floats, rows))
        orient(parameter.number, axes)
        if parameter.kind == "sd":
            return deviation(term.first, 0.0, np.inf, lower, float(triangle[0, 0]))
        lower[term.first : term.first + 2] = 0.0
        position = term.first + term.covariance.n_columns
        quarter = 0.5 * np.pi
        return Correlation(position, -quarter, quarter, lower, term.first, *triangle[:, 1])
    assert parameter.position is not None
    position = term.first + parameter.position
    if parameter.kind == "sd":
        unit = float(1.0 / term.map[parameter.columns * 2])
        return deviation(position, 0.0, np.inf, lower, unit)
    if isinstance(term.covariance, AbstractSpatial):
        return Decline(position, -DECLINED, 0.0, lower, term.covariance)
    assert isinstance(term.covariance, AbstractScaledCorrelation)
    lag = parameter.columns[1]
    if lag > 1:
        return Lag(position, -1.0, 1.0, lower, term.covariance, lag)
    ones = np.ones((term.covariance.n_columns,) * 2)
    low, high = (float(term.covariance.angles(sign * ones)[0]) for sign in (-1.0, 1.0))
    return Angle(position, low, high, lower, term.covariance)


def _axes(rows: Floats) -> tuple[Floats, Floats]:
    """Orthogonal Q (k, k) and R (r, r) of positive diagonal with rows (k, r) = Q[:, :r] R."""
    axes, triangle = np.linalg.qr(rows, mode="complete")
    count = rows.shape[1]
    signs = np.ones(len(rows))
    signs[:count] = np.where(np.diagonal(triangle) < 0.0, -1.0, 1.0)
    return axes * signs, triangle[:count] * signs[:count, None]
