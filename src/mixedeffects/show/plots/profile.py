"""Profile likelihood: ζ along each parameter, and the densities that it amounts to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixedeffects.inference.profile_curves import Profile, ProfileCurve
from mixedeffects.inference.wald import quantile
from mixedeffects.show.plots.figures import new_axes, panels
from mixedeffects.show.plots.style import BLUE, FAINT, GREY, dress, zero_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

LEVELS = (0.5, 0.8, 0.95, 0.99)
POINTS = 241
CAPTIONS = {
    "zeta": "where the curve crosses the bands: 50, 80, 95 and 99% intervals; line: ML estimate",
    "density": "density for which ζ is standard normal; line: ML estimate",
}


def profile(found: Profile, kind: str, ax: Axes | None) -> Axes | Figure:
    """``"zeta"`` or ``"density"`` of each parameter on axes of its own."""
    draw = zeta_curve if kind == "zeta" else density_curve
    if len(found.curves) == 1 or ax is not None:
        ax = new_axes(ax, width=5.0, height=4.2)
        draw(ax, found.curves[0], CAPTIONS[kind])
        return ax
    figure, axes = panels(len(found.curves), 3, 3.9, 3.3, "parameters=")
    figure.suptitle(CAPTIONS[kind], fontsize="small", color=GREY)
    for each, curve in zip(axes, found.curves, strict=True):
        draw(each, curve)
    return figure


def zeta_curve(ax: Axes, curve: ProfileCurve, caption: str = "") -> None:
    """ζ through its points; a straight line where the likelihood is that of a normal."""
    value, zeta = interpolated(curve)
    for level in LEVELS:
        z = float(quantile(np.inf, level))
        ax.axhspan(-z, z, color=FAINT, alpha=0.22, linewidth=0.0, gid="level")
    ax.plot(value, zeta, color=BLUE, linewidth=1.8, gid="zeta")
    ax.plot(curve.values, curve.zeta, "o", color=BLUE, markersize=3.0, gid="points")
    zero_line(ax)
    ax.axvline(curve.estimate, color=GREY, linewidth=0.9, gid="estimate")
    dress(ax, curve.parameter.name, caption, x="Value", y="ζ")


def density_curve(ax: Axes, curve: ProfileCurve, caption: str = "") -> None:
    """The density of a parameter for which ζ is standard normal."""
    value, density = profile_density(curve)
    ax.fill_between(value, 0.0, density, color=BLUE, alpha=0.2, linewidth=0.0)
    ax.plot(value, density, color=BLUE, linewidth=1.8, gid="density")
    ax.axvline(curve.estimate, color=GREY, linewidth=0.9, gid="estimate")
    ax.set_ylim(bottom=0.0)
    ax.set_yticks([])
    dress(ax, curve.parameter.name, caption, x="Value", grid="x")


def interpolated(curve: ProfileCurve) -> tuple[Floats, Floats]:
    """ζ at many values, monotone between its points as these are."""
    if len(curve.values) < 2:
        return curve.values, curve.zeta
    from scipy.interpolate import PchipInterpolator

    value = np.linspace(curve.values[0], curve.values[-1], POINTS)
    return value, PchipInterpolator(curve.values, curve.zeta)(value)


def profile_density(curve: ProfileCurve) -> tuple[Floats, Floats]:
    """φ(ζ(ψ)) dζ/dψ at many values of a parameter ψ."""
    if len(curve.values) < 3:
        return curve.values, np.zeros_like(curve.values)
    from scipy.interpolate import CubicSpline

    value = np.linspace(curve.values[0], curve.values[-1], POINTS)
    spline = CubicSpline(curve.values, curve.zeta)
    slope = np.maximum(spline(value, 1), 0.0)
    density: Floats = np.exp(-0.5 * spline(value) ** 2) / np.sqrt(2.0 * np.pi) * slope
    return value, density
