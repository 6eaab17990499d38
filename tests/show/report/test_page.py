"""Pages about fits: what they hold, and that nothing typed in a name becomes markup."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import mixedeffects as me
from mixedeffects.errors import ModelError

VOID = {"meta", "link", "img", "br"}


class Outline(HTMLParser):
    """The tags of a page, checked to be closed in their order, and its text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.headings, self.text = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [own for name, own in self.tags if name == tag]


@pytest.fixture(scope="module")
def sleep():
    return me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))


@pytest.fixture(scope="module")
def text(sleep, tmp_path_factory):
    return written(tmp_path_factory.mktemp("page"), sleep)


def written(tmp_path, *fits):
    path = tmp_path / "report.html"
    me.report(path, *fits)
    return path.read_text(encoding="utf-8")


def test_a_page_is_whole_and_accessible(text):
    page = Outline(text)
    assert page.all("html") == [{"lang": "en"}]
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(page.headings, page.headings[1:], strict=False))
    assert all(own["alt"] and own["src"].startswith("data:") for own in page.all("img"))
    assert len(page.all("img")) >= 6
    assert len(page.all("caption")) == len(page.all("table"))
    assert all("scope" in own for own in page.all("th"))
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    assert "@import" not in text
    assert "url(" not in text


def test_numbers_of_the_fit_are_there(text):
    text = "".join(Outline(text).text)
    for number in ("251.405", "10.467", "24.740", "0.7992", "1743.628", "45.85"):
        assert number in text
    assert "Satterthwaite, F. E. (1946)" in text
    assert "me.fit(" in text


def test_names_are_never_markup(tmp_path):
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"y<b>": rng.normal(size=40), "<script>": rng.normal(size=40)})
    data["</title>"] = np.repeat([f"<img src=x onerror={i}>" for i in range(8)], 5)
    data["&f"] = np.tile(["<i>", "&amp;"], 20)
    fit = me.fit("`y<b>` ~ `<script>` + `&f` + (1 | `</title>`)", data, on_check="ignore")
    text = written(tmp_path, fit)
    page = Outline(text)
    assert len(page.all("script")) == 1
    assert not page.all("b")
    assert not page.all("i")
    assert all(own["src"].startswith("data:") for own in page.all("img"))


def test_what_is_no_fit_is_refused(sleep, tmp_path):
    with pytest.raises(ModelError, match="no fit"):
        me.report(tmp_path / "none.html")
    with pytest.raises(ModelError, match=r"ends in \.html, not"):
        me.report(tmp_path / "none.pdf", sleep)
    with pytest.raises(ModelError, match="DataFrame in place 2"):
        me.report(tmp_path / "none.html", sleep, me.datasets.load("sleepstudy"))
    assert not list(tmp_path.iterdir())
