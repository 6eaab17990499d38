"""The command line: parse arguments, call the API, one line for each error.

One file a command; importing it adds the command to the program.
"""

from mixedeffects.cli import compare, datasets, fit, plot, predict, report
from mixedeffects.cli.program import main, run

__all__ = ["compare", "datasets", "fit", "main", "plot", "predict", "report", "run"]
