"""How often something happened in simulated data sets."""

from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True, slots=True)
class Rate:
    """``hits`` of ``sets``; in ``undefined`` of them the method gave nothing, which is no hit."""

    structure: str
    balanced: bool
    groups: int
    rows: int
    what: str
    method: str
    sets: int
    hits: int
    undefined: int = 0

    @property
    def share(self) -> float:
        return self.hits / self.sets

    def apart(self, expected: float) -> float:
        """Binomial standard errors of the expected share between it and this one."""
        return (self.share - expected) / sqrt(expected * (1 - expected) / self.sets)
