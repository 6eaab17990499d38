"""Draws of a posterior (or prior) distribution, in the user's units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Draws:
    """C chains of S draws of every parameter.

    Attributes
    ----------
    beta : array (C, S, P)
        Coefficients of all linear predictors one after the other, of the columns kept.
    covariances : tuple of arrays (C, S, k, k)
        Of each random term of ``all_random(design)``: its covariance, absolute.
    modes : tuple of arrays (C, S, levels, k)
        b of each random term, in the same order.
    sigma : array (C, S), or None
        Residual standard deviation of a Gaussian model without dispersion formula, or the
        family's dispersion parameter where it is one number; None where there is none.
    extras : array (C, S, e)
        The family's extra parameters on the user's scale.
    log_prior : array (C, S)
        Log-density of the prior at the draw, up to a constant.
    stats : mapping of str to array (C, S)
        What the sampler tells of each draw, by ArviZ's names: diverging, energy, tree_depth,
        n_steps, step_size, acceptance_rate, lp. Empty for independent draws.
    way : str
        How the draws were made, in a sentence for the user.
    pareto_k : float
        Shape of the tail of the importance weights; NaN where there are none.
    efficiency : float
        Effective share of weighted draws; 1 where there are no weights.
    max_depth : int
        Depth at which a NUTS tree is cut off; 0 where there is none.
    interrupted : bool
        Whether the user stopped the sampler before all draws were made.
    """

    beta: Floats
    covariances: tuple[Floats, ...]
    modes: tuple[Floats, ...]
    sigma: Floats | None
    extras: Floats
    log_prior: Floats
    stats: Mapping[str, NDArray[Any]]
    way: str
    pareto_k: float = float("nan")
    efficiency: float = 1.0
    max_depth: int = 0
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """How many draws to make, and from which seed."""

    chains: int
    draws: int
    tune: int
    seed: int
