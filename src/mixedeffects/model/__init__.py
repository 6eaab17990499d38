"""fit(), compare(), power(), and MixedFit, where a user meets everything.

sample() and Posterior are in files of their own, which a fit does not need.
"""

from mixedeffects.model.build import fit, load
from mixedeffects.model.comparison import compare
from mixedeffects.model.mixed_fit import MixedFit
from mixedeffects.model.power_analysis import power

__all__ = ["MixedFit", "compare", "fit", "load", "power"]
