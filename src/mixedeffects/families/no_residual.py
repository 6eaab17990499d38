"""Normal responses whose whole variation is that of random effects."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from mixedeffects.families.base import AbstractFamily, Predictors
from mixedeffects.families.jets import Array, Partials, Wanted
from mixedeffects.families.response import Column, Response
from mixedeffects.families.special import HALF_LOG_2PI


@dataclass(frozen=True)
class NoResidual(AbstractFamily):
    """Normal responses about μ = η with a standard deviation that is fixed, and as good as zero.

    What ``dispersion="~ 0"`` makes of family ``"gaussian"``.

    Attributes
    ----------
    link : {"identity"}
    sd : float
        Not estimated, and too small to make a difference between models.
    """

    link: str = "identity"
    sd: float = field(default=1.0, compare=False)

    name = "gaussian"
    links = ("identity",)
    natural = "identity"
    has_dispersion = False
    sigma_name = "residual standard deviation"

    @property
    def fixed_sigma(self) -> float:
        return self.sd

    def describe(self) -> str:
        return f"gaussian, identity link, residual standard deviation fixed at {self.sd:.3g}"

    def response(
        self,
        y: Array,
        trials: Array | None = None,
        name: str = "y",
        rows: NDArray[np.intp] | None = None,
    ) -> Response:
        column = Column(name, rows)
        self._refuse_trials(trials, column)
        column.require(y, np.isfinite, "Change or drop that row.")
        return Response(y)

    def partials(self, response: Response, point: Predictors, wanted: Wanted) -> Partials:
        z = (response.y - point[0]) / self.sd
        return wanted.pick(
            {
                (): lambda: -0.5 * z * z - HALF_LOG_2PI - np.log(self.sd),
                (0,): lambda: z / self.sd,
                (0, 0): lambda: np.full_like(z, -(self.sd**-2.0)),
            }
        )

    def variance(self, response: Response, predictors: Predictors) -> Array:
        return np.full_like(response.y, self.sd**2)

    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        return self.mean(predictors) + self.sd * rng.standard_normal(response.y.shape)

    def cdf(self, response: Response, predictors: Predictors) -> Array:
        below: Array = ndtr((response.y - self.mean(predictors)) / self.sd)
        return below

    def deviance(self, response: Response, predictors: Predictors) -> Array:
        return (response.y - self.mean(predictors)) ** 2

    def start_mean(self, response: Response) -> Array:
        return response.y
