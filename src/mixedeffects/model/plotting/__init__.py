"""``fit.plot``: the pictures of a fit."""

from mixedeffects.model.plotting.plots import GeneralPlots, LinearPlots

__all__ = ["GeneralPlots", "LinearPlots"]
