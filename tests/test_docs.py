"""What the documents show runs, and prints what they say."""

import re
from pathlib import Path

import pytest

from mixedeffects import cli
from mixedeffects.families import FAMILIES

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def blocks(document, language):
    text = document.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_python_blocks_run(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(document, "python"):
        exec(compile(block, document.name, "exec"), names)


def test_the_readme_shows_what_is_printed(capsys):
    shown = blocks(REPOSITORY / "README.md", "text")[0]
    assert cli.run(["fit", "Reaction ~ Days + (Days | Subject)", "sleepstudy"]) == 0
    printed = capsys.readouterr().out
    # the rest depends on rounding
    certificate = "Optimum certified: "
    assert certificate in shown
    assert shown.partition(certificate)[0] == printed.partition(certificate)[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_to_files_lead_somewhere(document):
    for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
        assert (document.parent / link).exists(), link


def test_every_family_is_described_with_its_links():
    sections = (REPOSITORY / "docs" / "families.md").read_text(encoding="utf-8").split("\n## ")
    for name, family in FAMILIES.items():
        own = [s for s in sections[2:] if re.search(rf"^\|.*`{name}`|^`{name}`:", s, re.MULTILINE)]
        assert len(own) == 1, name
        assert all(f"`{link}`" in own[0] for link in family.links), name
