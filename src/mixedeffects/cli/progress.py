"""How far a long fit is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status

# A fit that takes longer than this shows how far it is.
PATIENCE = 1.0


class Progress:
    """A line on the terminal that says how far a fit is, once it takes long."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._line: Status | None = None

    def __call__(self, evaluations: int, objective: float) -> None:
        text = f"{evaluations} evaluations, objective {objective:.4f}"
        if self._line is not None:
            self._line.update(text)
        elif time.monotonic() - self._began > PATIENCE:
            from rich.console import Console

            self._line = Console(stderr=True).status(text)
            self._line.start()

    def stop(self) -> None:
        if self._line is not None:
            self._line.stop()
