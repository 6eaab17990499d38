"""``mixedeffects plot``: a picture of a saved fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mixedeffects.cli.files import check_targets
from mixedeffects.cli.program import DONE, Work, app
from mixedeffects.cli.saved import load_fit
from mixedeffects.errors import MixedEffectsError, suggestion

# What other packages call them.
_ELSEWHERE = {
    "caterpillar": "random_effects",
    "ranef": "random_effects",
    "forest": "fixed_effects",
    "fixef": "fixed_effects",
    "coefficients": "fixed_effects",
    "emmeans": "means",
    "effects": "predictions",
}

_EXAMPLES = """\b
Examples:
  mixedeffects plot sleep.fit --out panel.png
  mixedeffects plot sleep.fit groups --of Subject --out lattice.pdf
  mixedeffects plot sleep.fit random_effects --out effects.svg
"""


@app.command(epilog=_EXAMPLES)
def plot(
    fit: Annotated[str, typer.Argument(help="A file that mixedeffects fit --save wrote.")],
    kind: Annotated[
        str, typer.Argument(help="panel, or a method of fit.plot such as residuals or groups.")
    ] = "panel",
    of: Annotated[
        list[str] | None, typer.Option(help="What it is of: the columns of groups or means.")
    ] = None,
    out: Annotated[Path, typer.Option(help="A .png, .pdf or .svg file.")] = Path("plot.png"),
) -> Work:
    """Draw a saved fit: the panel to look at first, or one picture."""

    def work() -> int:
        check_targets({}, out)
        drawn = _drawn(load_fit(fit).plot, kind, of or ())
        figure = getattr(drawn, "figure", None) or drawn
        kinds = figure.canvas.get_supported_filetypes()
        if out.suffix.removeprefix(".") not in kinds:
            raise MixedEffectsError(f"--out {out}: give a .png, .pdf or .svg file.")
        figure.savefig(out, dpi=150)
        print(out)
        return DONE

    return work


def _drawn(plots: Any, kind: str, of: Any) -> Any:
    if kind == "panel":
        return plots()
    kinds = [name for name in dir(plots) if not name.startswith("_")]
    if kind not in kinds:
        hint = f" Did you mean {known!r}?" if (known := _ELSEWHERE.get(kind)) in kinds else ""
        hint = hint or suggestion(kind, kinds)
        raise MixedEffectsError(f"There is no plot {kind!r}.{hint} There are {', '.join(kinds)}.")
    return getattr(plots, kind)(*of)
