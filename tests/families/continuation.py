"""The families' formulas on complex numbers z = x + ih, for steps h that leave no rounding.

f(x + ih) = f(x) + ihf'(x) + O(h²) needs no analytic function: with h = 1e-30 the rest is below a
number's precision.  So NumPy's functions that take no complex numbers, or split cases by them,
go by the real part, and special functions by their known derivative (digamma for log-gamma, the
density for Φ): `Continued` stands for ``np`` in the families' modules, `SPECIAL` for what they
have from SciPy.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

import numpy as np
from scipy import special

import mixedeffects.families as families
from mixedeffects.families import FAMILIES, compois
from mixedeffects.families.base import AbstractFamily


def continued(function, derivative):
    """A real function beside the real axis; further arguments stay real."""

    def extended(x, *others):
        if not np.iscomplexobj(x):
            return function(x, *others)
        return function(np.real(x), *others) + 1j * np.imag(x) * derivative(np.real(x), *others)

    return extended


def polygamma(order, x):
    return continued(
        lambda v: special.polygamma(order, v), lambda v: special.polygamma(order + 1, v)
    )(x)


def density_normal(x):
    return np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)


SPECIAL = {
    "gammaln": continued(special.gammaln, special.psi),
    "psi": continued(special.psi, lambda x: special.polygamma(1, x)),
    "polygamma": polygamma,
    "expit": continued(special.expit, lambda x: special.expit(x) * special.expit(-x)),
    "ndtr": continued(special.ndtr, density_normal),
    "log_ndtr": continued(
        special.log_ndtr,
        lambda x: np.exp(-0.5 * x * x - 0.5 * np.log(2 * np.pi) - special.log_ndtr(x)),
    ),
}


class Continued:
    """NumPy, of which what knows only real numbers goes by the real part."""

    def __getattr__(self, name):
        return getattr(np, name)

    def abs(self, x):
        x = np.asarray(x)
        return np.where(x.real < 0, -x, x) if np.iscomplexobj(x) else np.abs(x)

    def maximum(self, a, b):
        return np.where(np.real(a) >= np.real(b), a, b)

    def minimum(self, a, b):
        return np.where(np.real(a) < np.real(b), a, b)

    def clip(self, x, low, high):
        return self.minimum(self.maximum(x, low), high)

    def floor(self, x):
        return np.floor(np.real(x))

    def ceil(self, x):
        return np.ceil(np.real(x))

    def arctan2(self, a, b):
        x, y = np.real(a), np.real(b)
        return np.arctan2(x, y) + 1j * (np.imag(a) * y - np.imag(b) * x) / (x * x + y * y)

    def logaddexp(self, a, b):
        x, y = np.real(a), np.real(b)
        value = np.logaddexp(x, y)
        return value + 1j * (np.imag(a) * np.exp(x - value) + np.imag(b) * np.exp(y - value))

    # arrays that are filled later may hold complex numbers
    def zeros(self, shape, dtype=complex):
        return np.zeros(shape, dtype)

    def empty(self, shape, dtype=complex):
        return np.zeros(shape, dtype)

    def full(self, shape, value):
        return np.full(shape, value, complex)

    def asarray(self, x, dtype=None):
        return np.asarray(x, None if np.iscomplexobj(x) else dtype)

    def float64(self, x):
        return np.complex128(x)


def continue_families(monkeypatch):
    """Let all families take complex predictors; those with compiled rows by their formulas."""
    for found in pkgutil.iter_modules(families.__path__):
        if found.name.startswith("_"):
            continue
        module = import_module(f"mixedeffects.families.{found.name}")
        if hasattr(module, "np"):
            monkeypatch.setattr(module, "np", Continued())
        for name, function in SPECIAL.items():
            if hasattr(module, name):
                monkeypatch.setattr(module, name, function)
    supports = compois._supports  # which counts have probability, a choice of rows
    monkeypatch.setattr(compois, "_supports", lambda t, d: supports(np.real(t), np.real(d)))
    for kind in (AbstractFamily, *FAMILIES.values()):
        if "compiled" in vars(kind):
            monkeypatch.setattr(kind, "compiled", lambda *_: None)
