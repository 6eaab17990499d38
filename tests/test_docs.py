"""What the documents show runs, and prints what they say."""

import math
import re
import sys
from itertools import zip_longest
from pathlib import Path

import pytest

from mixedeffects import cli
from mixedeffects.families import FAMILIES

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
DOCUMENTS = [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))]

sys.path.insert(0, str(DOCS / "hooks"))
import pages  # noqa: E402


def label(document):
    return str(document.relative_to(REPOSITORY))


def blocks(document, language):
    text = document.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_examples_run_and_print_what_is_shown(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = document.read_text(encoding="utf-8")
    if pages.pictures(text):
        import matplotlib

        matplotlib.use("Agg")
    for result in pages.run(text, label(document)):
        if result.shown is not None:
            differing = difference(result.shown, result.printed)
            assert differing is None, f"{differing} in what is printed:\n{result.printed}"
        if result.picture is not None:
            assert has_content(pages.figure_of(result.value))


def difference(shown, printed):
    """The first word that differs, or None: by more than rounding does, if it is a number."""
    for expected, found in zip_longest(words(shown), words(printed), fillvalue=""):
        if expected != found and not nearly(expected, found):
            return f"{found!r} for {expected!r}"
    return None


def words(text):
    """Certificates' values and numbers of evaluations are the last rounding errors: left out."""
    text = re.sub(r"(gradient|curvature) \S+", r"\1", text)
    return re.sub(r"\d+ evaluations", "evaluations", text).split()


def nearly(expected, found):
    try:
        return math.isclose(float(expected), float(found), rel_tol=2e-3, abs_tol=1e-12)
    except ValueError:
        return False


def has_content(figure):
    return all(axes.has_data() for axes in figure.axes) and figure.axes


def test_differences_are_found():
    assert difference("a  1.000 b", "a 1.001\nb") is None
    assert difference("a 1.00", "a 1.01") == "'1.01' for '1.00'"
    assert difference("a 1.00", "a 1.00 b") == "'b' for ''"
    assert difference("gradient 1e-06 (at most", "gradient 3e-09 (at most") is None


def test_the_readme_shows_what_is_printed(capsys):
    shown = blocks(REPOSITORY / "README.md", "text")[0]
    assert cli.run(["fit", "Reaction ~ Days + (Days | Subject)", "sleepstudy"]) == 0
    printed = capsys.readouterr().out
    # the rest depends on rounding
    certificate = "Optimum certified: "
    assert certificate in shown
    assert shown.partition(certificate)[0] == printed.partition(certificate)[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_links_to_files_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        drawn = link in pages.pictures(text)
        assert drawn or (document.parent / link).exists(), link


def test_every_family_is_described_with_its_links():
    sections = (REPOSITORY / "docs" / "families.md").read_text(encoding="utf-8").split("\n## ")
    for name, family in FAMILIES.items():
        own = [s for s in sections[2:] if re.search(rf"^\|.*`{name}`|^`{name}`:", s, re.MULTILINE)]
        assert len(own) == 1, name
        assert all(f"`{link}`" in own[0] for link in family.links), name
