"""fit(), and MixedFit, where a user meets everything."""

from mixedeffects.model.build import fit, load
from mixedeffects.model.mixed_fit import MixedFit

__all__ = ["MixedFit", "fit", "load"]
