"""fit(), compare(), and MixedFit, where a user meets everything."""

from mixedeffects.model.build import fit, load
from mixedeffects.model.comparison import compare
from mixedeffects.model.mixed_fit import MixedFit

__all__ = ["MixedFit", "compare", "fit", "load"]
