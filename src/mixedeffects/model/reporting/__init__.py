"""report(): a page about one fit, or about several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mixedeffects.errors import ModelError
from mixedeffects.model.generalized import GeneralizedFit
from mixedeffects.model.linear import LinearFit
from mixedeffects.model.reporting.comparison import comparison_page
from mixedeffects.model.reporting.fits import ReportedFit
from mixedeffects.model.reporting.reported import AbstractReported
from mixedeffects.saving import replacing
from mixedeffects.show.report.page import page

if TYPE_CHECKING:
    from mixedeffects.model.mixed_fit import MixedFit
    from mixedeffects.model.posterior import Posterior

__all__ = ["check_page", "report"]


def report(path: str | Path, *fits: MixedFit | Posterior) -> None:
    """Write one self-contained HTML page about a fit, or about several side by side.

    The page has the model in words and in mathematics, the data and what was left out, tables,
    pictures, checks, marginal means, the call, versions, and a methods paragraph with its
    references. It needs no network and no other file. What a fit cannot give is left out, with
    the reason.

    Parameters
    ----------
    path
        Of the page, such as ``"report.html"``; one that was there is replaced.
    *fits
        Fits or posteriors.

    Raises
    ------
    ModelError
        Without a fit, for what is none, or for a path of another kind of file.
    OSError
        If the file cannot be written; one that was there stays as it was.

    Examples
    --------
    >>> import mixedeffects as me
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> fit = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff"))
    >>> with TemporaryDirectory() as folder:
    ...     me.report(f"{folder}/report.html", fit)
    ...     Path(f"{folder}/report.html").read_text(encoding="utf-8")[:15]
    '<!DOCTYPE html>'
    """
    if not fits:
        raise ModelError("report was given no fit: me.report('report.html', fit).")
    check_page(path)
    parts = [_reported(fit, place) for place, fit in enumerate(fits, start=1)]
    with replacing(path) as temporary:
        text = _one(parts[0]) if len(parts) == 1 else comparison_page(parts)
        temporary.write_text(text, encoding="utf-8")


def check_page(path: str | Path) -> None:
    """Refuse a path that says another kind of file.

    Raises
    ------
    ModelError
    """
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise ModelError(
            f"A report is a page: give a path that ends in .html, not {str(path)!r}. A browser"
            " prints it as PDF."
        )


def _one(part: AbstractReported) -> str:
    return page(part.title, part.lead(), part.sections())


def _reported(fit: object, place: int) -> AbstractReported:
    if isinstance(fit, LinearFit | GeneralizedFit):
        return ReportedFit(fit)
    from mixedeffects.model.posterior import Posterior

    if isinstance(fit, Posterior):
        from mixedeffects.model.reporting.posteriors import ReportedPosterior

        return ReportedPosterior(fit)
    raise ModelError(
        f"report was given {type(fit).__name__} in place {place}, which is no fit: "
        "me.report('report.html', fit)."
    )
