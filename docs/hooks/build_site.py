"""What the site needs beyond its pages: drawn pictures, formulas as MathML, and a look at links."""

from __future__ import annotations

import io
import logging
import posixpath
import re
import sys
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
from pages import elsewhere, figure_of, pictures, run

_FORMULA = re.compile(
    r'<(span|div) class="arithmatex">(?:\\\(|\\\[)(.*?)(?:\\\)|\\\])</\1>', re.DOTALL
)
_ONE_LINE = re.compile(
    r'(<div class="language-text highlight)("><pre>(?:<span></span>)?<code>[^\n]*\n</code>)'
)
log = logging.getLogger("mkdocs.hooks.build_site")  # a warning fails a strict build


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Draw the pictures of all pages."""
    for file in list(files.documentation_pages()):
        text = file.content_string
        if pictures(text):
            with elsewhere():
                drawn = list(_drawn(text, file.src_uri))
            for path, content in drawn:
                files.append(File.generated(config, path, content=content))
    return files


def on_page_content(html: str, **_: object) -> str:
    """Formulas as MathML, which browsers draw without a script.

    In tables' code `\\|` is `|`, as elsewhere, and an output of one line breaks where it must.
    """

    def mathml(formula: re.Match[str]) -> str:
        display = "block" if formula[1] == "div" else "inline"
        return convert(unescape(formula[2]).strip(), display=display)

    html = re.sub(r"<code>[^<]*</code>", lambda code: code[0].replace("\\|", "|"), html)
    html = _ONE_LINE.sub(r"\1 one-line\2", html)
    return _FORMULA.sub(mathml, html)


def on_post_build(config: MkDocsConfig) -> None:
    """Warn of links that lead nowhere, and of anything that a page would load from elsewhere."""
    site = Path(config.site_dir)
    pages = {page: _read(page) for page in site.rglob("*.html")}
    for page, read in pages.items():
        for link in read.links:
            if (reason := _fault(link, page, site, pages)) is not None:
                log.warning("%s: %s %s", page.relative_to(site), link, reason)
        for source in read.loaded:
            if urlsplit(source).netloc:
                log.warning("%s loads %s from the network", page.relative_to(site), source)


def _drawn(text: str, page: str) -> Iterator[tuple[str, bytes]]:
    import matplotlib
    from matplotlib import pyplot

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "mixedeffects"
    for result in run(text, page):
        if result.picture is not None:
            out = io.BytesIO()
            figure = figure_of(result.value)
            figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
            yield (
                posixpath.normpath(posixpath.join(posixpath.dirname(page), result.picture)),
                (out.getvalue()),
            )
        pyplot.close("all")


class _Read(HTMLParser):
    """The anchors of a page, its links, and what it loads."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = {""}
        self.links: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value}
        self.anchors.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif "src" in given:
            self.links.append(given["src"])
            self.loaded.append(given["src"])
        elif tag == "link" and given.get("rel") != "canonical" and "href" in given:
            self.links.append(given["href"])
            self.loaded.append(given["href"])


def _read(page: Path) -> _Read:
    reader = _Read()
    reader.feed(page.read_text(encoding="utf-8"))
    return reader


def _fault(link: str, page: Path, site: Path, pages: dict[Path, _Read]) -> str | None:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or page.name == "404.html":  # whose links are absolute
        return None
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target.is_dir():
        target = target / "index.html"
    if not target.is_relative_to(site.resolve()) or not target.exists():
        return "leads nowhere"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return "has no such anchor"
    return None
