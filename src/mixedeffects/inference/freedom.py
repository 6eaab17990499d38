"""Degrees of freedom of the tests of fixed effects: one class a method, one way to ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mixedeffects.algebra.standardize import functions_in_basis
from mixedeffects.errors import ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.fitting.uncertainty import Uncertainty, uncertainty

Floats = NDArray[np.float64]
Method = Literal["satterthwaite", "kenward-roger", "residual", "asymptotic"]

# Eigenvalues of LCL' below this share of the largest: the hypotheses repeat one another.
REDUNDANT = 1e-10


@dataclass(frozen=True, slots=True)
class FTest:
    """An F test: statistic, numerator and denominator degrees of freedom (maybe infinite)."""

    statistic: float
    num_df: int
    den_df: float

    @property
    def p_value(self) -> float:
        """Upper tail; of χ²/num_df where the denominator is infinite."""
        from scipy.special import chdtrc, fdtrc

        if self.num_df == 0:
            return float("nan")
        if np.isinf(self.den_df):
            return float(chdtrc(self.num_df, self.num_df * self.statistic))
        return float(fdtrc(self.num_df, self.den_df, self.statistic))


@dataclass(frozen=True)
class AbstractFreedom(ABC):
    """A method's covariance of β̂ and its degrees of freedom for linear functions Lβ.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        Estimates of the columns kept.
    map : ndarray, shape (p, p)
        Those columns are the ones of a better conditioned basis times this.
    root : ndarray, shape (p, p)
        SS' is the covariance of the coefficients in that basis, adjusted where the method does
        so: there the variance of a mean at a far covariate is no difference of huge numbers.
    """

    name: ClassVar[Method]
    beta: Floats
    map: Floats
    root: Floats

    @property
    def covariance(self) -> Floats:
        """Of β̂ (p, p)."""
        return self.covariance_of(np.eye(len(self.beta)))

    def covariance_of(self, L: Floats) -> Floats:
        """Of Lβ̂ (r, r), L (r, p)."""
        spread = self.inner(L) @ self.root
        covariance: Floats = spread @ spread.T
        return covariance

    def std_errors(self, L: Floats) -> Floats:
        """Of Lβ̂ (r,)."""
        errors: Floats = np.linalg.norm(self.inner(L) @ self.root, axis=1)
        return errors

    def inner(self, L: Floats) -> Floats:
        """L (r, p) as functions of the coefficients in the basis."""
        return functions_in_basis(L, self.map)

    @abstractmethod
    def rows(self, L: Floats) -> Floats:
        """Degrees of freedom (r,) of t for each row of L (r, p)."""

    @abstractmethod
    def joint(self, L: Floats, rhs: Floats | None = None) -> FTest:
        """F test of Lβ = rhs (zero where omitted), L (r, p); redundant rows are counted once."""


@dataclass(frozen=True)
class Constant(AbstractFreedom):
    """The same degrees of freedom for every hypothesis."""

    name: ClassVar[Method] = "residual"
    freedom: float

    def rows(self, L: Floats) -> Floats:
        return np.full(len(L), self.freedom)

    def joint(self, L: Floats, rhs: Floats | None = None) -> FTest:
        _, squares = rotated(self, L, rhs)
        return FTest(_mean(squares), len(squares), self.freedom)


@dataclass(frozen=True)
class Asymptotic(Constant):
    """Wald tests: normal and χ²."""

    name: ClassVar[Method] = "asymptotic"


@dataclass(frozen=True)
class Satterthwaite(AbstractFreedom):
    """Moments of the variance of a contrast.

    Giesbrecht and Burns 1985 (Biometrics 41) for one contrast; Fai and Cornelius 1996
    (J. Stat. Comput. Simul. 54) for several.
    """

    name: ClassVar[Method] = "satterthwaite"
    uncertainty: Uncertainty

    def rows(self, L: Floats) -> Floats:
        return self._inner_rows(self.inner(L))

    def _inner_rows(self, L: Floats) -> Floats:
        u = self.uncertainty
        variance = ((L @ self.root) ** 2).sum(axis=1)
        slopes = np.einsum("ri,kij,rj->rk", L, u.slopes, L, optimize=True)
        spread = np.einsum("rk,kl,rl->r", slopes, u.theta_covariance, slopes)
        with np.errstate(invalid="ignore"):
            freedom: Floats = 2.0 * variance**2 / (spread + 2.0 / u.dof * variance**2)
        return freedom

    def joint(self, L: Floats, rhs: Floats | None = None) -> FTest:
        directions, squares = rotated(self, L, rhs)
        freedoms = self._inner_rows(directions)
        if not len(freedoms):
            return FTest(np.nan, 0, np.nan)
        if np.ptp(freedoms) < 1e-8:
            return FTest(_mean(squares), len(squares), float(freedoms.mean()))
        # E[Σt²] = Σ ν/(ν − 2) is that of num_df·F with den_df = 2E/(E − num_df).
        denominator = 2.0
        if np.all(freedoms > 2.0):
            expected = float((freedoms / (freedoms - 2.0)).sum())
            denominator = 2.0 * expected / (expected - len(freedoms))
        return FTest(_mean(squares), len(squares), denominator)


def rotated(
    freedom: AbstractFreedom, L: Floats, rhs: Floats | None = None
) -> tuple[Floats, Floats]:
    """Uncorrelated combinations of the rows of L, (rank, p), and their squared t (rank,).

    The combinations are functions of the coefficients in the basis.
    """
    deviation = L @ freedom.beta - (0.0 if rhs is None else rhs)
    L = freedom.inner(L)
    vectors, values = _principal(L @ freedom.root)
    least = REDUNDANT * values.max(initial=0.0)
    if len(values) < len(L) or np.any(values <= least):  # or in very different units
        sizes = np.linalg.norm(L @ freedom.root, axis=1)
        L, deviation = L / sizes[:, None], deviation / sizes
        vectors, values = _principal(L @ freedom.root)
    kept = values > REDUNDANT * values.max(initial=0.0)
    turned = vectors[:, kept].T
    squares: Floats = (turned @ deviation) ** 2 / values[kept]
    return turned @ L, squares


def _principal(spread: Floats) -> tuple[Floats, Floats]:
    """Eigenvectors (r, k) and eigenvalues (k,), the largest first, of SS' for S (r, p)."""
    vectors, singular, _ = np.linalg.svd(spread, full_matrices=False)
    return vectors, singular**2


def _mean(squares: Floats) -> float:
    return float(squares.mean()) if len(squares) else float("nan")


def freedom(fit: Fit | GeneralFit, method: str) -> AbstractFreedom:
    """The degrees of freedom of a method for a fit.

    Raises
    ------
    ModelError
        For a method that is not known, or that does not apply to the fit.
    """
    own = fit.estimates.components[0]
    common = own.beta, own.map, own.root
    if method in ("satterthwaite", "kenward-roger") and isinstance(fit, GeneralFit):
        raise ModelError(
            f"df={method!r} is for Gaussian models, whose residual variance is estimated: use "
            "df='asymptotic' (z tests)."
        )
    if method == "satterthwaite" and isinstance(fit, Fit):
        return Satterthwaite(*common, uncertainty(fit))
    if method == "residual":
        return Constant(*common, float(fit.estimates.nobs - len(own.beta)))
    if method == "asymptotic":
        return Asymptotic(*common, np.inf)
    if method == "kenward-roger" and isinstance(fit, Fit):
        from mixedeffects.inference.kenward_roger import kenward_roger

        return kenward_roger(fit)
    listed = ", ".join(repr(m) for m in get_args(Method))
    raise ModelError(f"df={method!r} is not one of {listed}.")
