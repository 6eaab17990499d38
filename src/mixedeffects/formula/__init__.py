"""Text to a frozen description, and with data to arrays."""

from mixedeffects.formula.design import Design, build_design
from mixedeffects.formula.effects import RandomDesign
from mixedeffects.formula.grammar import ParsedFormula, RandomTerm, parse_formula
from mixedeffects.formula.spec import DesignSpec, NewDesign, NewRandom

__all__ = [
    "Design",
    "DesignSpec",
    "NewDesign",
    "NewRandom",
    "ParsedFormula",
    "RandomDesign",
    "RandomTerm",
    "build_design",
    "parse_formula",
]
