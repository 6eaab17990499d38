"""Options of the public calls, checked; what follows where a certificate does not hold."""

from __future__ import annotations

import warnings
from typing import Any, Literal, TypeGuard, TypeVar

import numpy as np

from mixedeffects.errors import ConvergenceWarning, ModelError
from mixedeffects.fitting.fit import Fit
from mixedeffects.fitting.general_fit import GeneralFit

AnyFit = TypeVar("AnyFit", Fit, GeneralFit)
OnCheck = Literal["warn", "error", "ignore"]


def check_option(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        listed = ", ".join(repr(a) for a in allowed)
        raise ModelError(f"{name}={value!r} is not one of {listed}.")


def is_whole(value: Any) -> TypeGuard[int | np.integer[Any]]:
    """Whether it is an integer, which True and False are not."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def judged(fit: AnyFit, on_check: OnCheck) -> AnyFit:
    """The fit, after what its user wants done where the certificate does not hold."""
    failed = [check for check in fit.estimates.checks if not check.passed]
    if failed and on_check != "ignore":
        message = "; ".join(
            f"{c.name}: {c.value:.3g} (tolerance {c.tolerance:.3g}): {c.message}" for c in failed
        )
        if on_check == "error":
            raise ModelError(f"The certificate does not hold: {message}")
        warnings.warn(
            f"The certificate of the optimum does not hold: {message}",
            ConvergenceWarning,
            stacklevel=3,
        )
    return fit
