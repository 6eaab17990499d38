"""Data that families have drawn at known parameters, and the fits to them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

import mixedeffects as me
from mixedeffects.families import Response, ZeroInflated
from mixedeffects.families import build as family_of

TRIALS = 8.0
GROUPS = 40
BETA = {"conditional": (0.4, 0.5), "dispersion": (0.6, 0.0), "zero_inflation": (-0.8, 0.0)}
# Deviation of the groups' intercepts.
SD = 0.5
# On unconstrained scales: t's degrees of freedom, tweedie's power, cutpoints, thresholds.
EXTRAS = {
    "student_t": (np.log(6.0),),
    "tweedie": (0.2,),
    "ordbeta": (-1.5, np.log(3.0)),
    "cumulative": (-1.0, 0.1, 0.3),
}


def drawn(name, *, inflated=False, n=400, seed=1, beta=None):
    """Rows of a family with a covariate, groups and trials; g is crossed with nothing."""
    family = ZeroInflated(family_of(name)) if inflated else family_of(name)
    beta = BETA | (beta or {})
    rng = np.random.default_rng(seed)
    g, x = np.arange(n) % GROUPS, rng.normal(size=n)
    b = SD * rng.normal(size=GROUPS)
    eta = []
    for predictor in family.predictors():
        intercept, slope = beta[predictor]
        if family.has_thresholds:
            intercept = 0.0
        eta.append(intercept + slope * x + (b[g] if predictor == "conditional" else 0.0))
    codes = np.zeros(n)
    trials = np.full(n, TRIALS) if family_of(name).response_kind == "binomial" else None
    shape = Response(codes, trials=trials, n_categories=4 if family.has_thresholds else 0)
    y = family.draw(rng, shape, (*eta, *EXTRAS.get(name, ())))
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{k}" for k in g], "size": TRIALS})


def fitted(name, data, **options):
    successes = name in ("binomial", "betabinomial")
    left = "cbind(y, size - y)" if successes else "y"
    return me.fit(f"{left} ~ x + (1 | g)", data, family=name, on_check="ignore", **options)


@lru_cache(maxsize=32)
def model(name, inflated=False):
    """The fit of a family to data that it has drawn."""
    options = {"zero_inflation": "~ 1"} if inflated else {}
    if name == "gaussian":
        options["dispersion"] = "~ x"  # without, the fit is a linear one
    return fitted(name, drawn(name, inflated=inflated), **options)
