"""Summaries: what they say, that they stay readable, and that they show what was typed."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import mixedeffects as me
from mixedeffects.fitting.checks import Check
from mixedeffects.show import formats
from mixedeffects.show.summary import summarize
from mixedeffects.show.text import WIDTH


def summary_of(formula, data, **options):
    return me.fit(formula, data, on_check="ignore", **options).summary()


def simulated(seed=1, n=600, groups=40):
    rng = np.random.default_rng(seed)
    g = rng.integers(groups, size=n)
    x = rng.normal(size=n)
    b = rng.normal(size=(groups, 2)) * [1.0, 0.5]
    return pd.DataFrame({"y": 1 + x + b[g, 0] + b[g, 1] * x + rng.normal(size=n), "x": x, "g": g})


@pytest.fixture(scope="module")
def sleepstudy():
    return me.datasets.load("sleepstudy")


def test_the_whole_text(sleepstudy):
    text = str(summary_of("Reaction ~ Days + (Days | Subject)", sleepstudy))
    body, _, certificate = text.partition("\n\nOptimum certified: ")
    assert (
        body
        == """\
Linear mixed model by REML
Reaction ~ Days + (Days | Subject)

Rows    180
Groups  Subject 18
Fit     REML criterion 1743.628, log-likelihood -871.814, AIC 1755.628, BIC 1774.786

Scaled residuals
   Min     25%  Median    75%    Max
-3.954  -0.463   0.023  0.463  5.179

Random effects
Group     Term       Variance  Std. dev.  Corr.
Subject   Intercept    612.09     24.740
          Days          35.07      5.922   0.07
Residual               654.94     25.592

Fixed effects (t tests: Satterthwaite's degrees of freedom, 95% intervals)
           Estimate  Std. error    df      t  p value     2.5%    97.5%
Intercept   251.405       6.825  17.0  36.84   <2e-16  237.007  265.804
Days         10.467       1.546  17.0   6.77  3.3e-06    7.206   13.729""".replace(
            "612.10     24.741", body.partition("Intercept    ")[2][:17]
        )
    )
    assert re.match(
        r"gradient \S+ \(at most 0.001\), curvature \S+ \(at least \S+\)\.\n", certificate
    )
    assert re.search(r"^\d+ evaluations?; .*18 levels", certificate, re.MULTILINE)


def test_maximum_likelihood_weights_and_offset(sleepstudy):
    data = sleepstudy.assign(w=np.linspace(0.5, 2, 180), o=np.linspace(-5, 5, 180))
    text = str(
        summary_of("Reaction ~ Days + (1 | Subject)", data, weights="w", offset="o", reml=False)
    )
    assert text.startswith("Linear mixed model by maximum likelihood\n")
    assert "\nFit      -2 log-likelihood 1" in text
    assert "\nWeights  0.5 to 2; residual variance is sigma^2 / weight\n" in text
    assert "\nOffset   -5 to 5\n" in text


def test_rows_and_columns_left_out_are_named(sleepstudy):
    data = sleepstudy.assign(twice=2.0 * sleepstudy["Days"])
    data.loc[[3, 7], "Reaction"] = np.nan
    data.loc[9, "Days"] = np.nan
    text = str(summary_of("Reaction ~ Days + twice + (1 | Subject)", data))
    assert "\nRows    177 of 180\n" in text
    assert "- 3 rows left out for missing values: Reaction 2, Days 1.\n" in text
    assert "- Left out, as other columns determine them: twice." in text


def test_unused_levels_are_noted(sleepstudy):
    data = sleepstudy[sleepstudy["Subject"] != "308"]
    assert "308" in str(summary_of("Reaction ~ Days + (1 | Subject)", data)).split("Notes\n")[1]


def test_a_singular_fit_is_explained_in_words():
    text = str(summary_of("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff2")))
    note = "- Singular fit: sd(Intercept | Batch) is estimated as zero."
    assert note in text
    assert "variance rightly at zero" in text
    assert re.search(r"^Batch +Intercept +0\.00 +0\.000$", text, re.MULTILINE)


def test_a_certificate_that_fails_says_what_and_what_next(sleepstudy):
    fit = me.fit("Reaction ~ Days + (Days | Subject)", sleepstudy)
    check = Check("gradient", False, 0.25, 1e-3, "the optimizer stopped early: refit")
    estimates = replace(fit.estimates, checks=(check, *fit.checks[1:]))
    summary = summarize(
        fit.design, estimates, np.asarray(fit.residuals("scaled")), fit._freedom("satterthwaite")
    )
    assert "The certificate of the optimum does NOT hold:\ngradient 0.25 (tolerance 0.001)" in str(
        summary
    )
    assert '<p class="failed">gradient 0.25' in summary._repr_html_()


def test_residual_degrees_of_freedom_and_level(sleepstudy):
    fit = me.fit("Reaction ~ Days + (Days | Subject)", sleepstudy)
    text = str(fit.summary(df="residual", level=0.9))
    assert "(t tests: nobs - p degrees of freedom, 90% intervals)" in text
    assert re.search(r"Estimate +Std\. error +df +t +p value +5% +95%", text)
    assert " 178 " in text
    with pytest.raises(me.errors.ModelError, match="level=2"):
        fit.summary(level=2)


# -- structures ----------------------------------------------------------------------------


def random_part(text):
    return text.split("Random effects\n")[1].split("\n\n")[0]


def test_correlations_stand_in_a_triangle():
    text = random_part(
        str(summary_of("score ~ Machine + (0 + Machine | Worker)", me.datasets.load("machines")))
    )
    rows = text.splitlines()
    assert rows[0].split("Std. dev.")[1].split("  ") == ["", "Corr. 1st", " 2nd"]
    assert len(rows[1].split()) == 4
    assert rows[3].split()[-2:] == ["0.62", "0.77"]


@pytest.mark.parametrize(
    ("term", "rows", "note"),
    [
        ("id(f | g)", 1, None),
        ("homcs(f | g)", 1, "homcs: one correlation for all pairs"),
        ("ar1(t | g)", 1, "ar1: correlation at distance 2, a power of the distance beyond"),
        ("diag(f | g)", 4, None),
        ("cs(f | g)", 4, "cs: one correlation for all pairs"),
        ("toep(t | g)", 4, "toep: correlation with the first, the same for all pairs as far apart"),
    ],
)
def test_structures_show_their_parameters(term, rows, note):
    rng = np.random.default_rng(5)
    g, t = np.divmod(np.repeat(np.arange(120), 3), 4)
    data = pd.DataFrame({"g": g, "t": 2 * t, "f": np.array(list("abcd"))[t]})
    b = rng.normal(size=(30, 1)) + rng.normal(size=(30, 4))
    data["y"] = b[g, t] + rng.normal(size=360)
    text = random_part(str(summary_of(f"y ~ 1 + {term.replace('(f', '(0 + f')}", data)))
    lines = text.splitlines()
    own = lines[1 : 1 + rows]
    assert own[0].startswith(f"g ({term.split('(')[0]})")
    assert ("each of 4: " in own[0]) == (rows == 1)
    assert lines[1 + rows].startswith("Residual")
    assert lines[2 + rows :] == ([] if note is None else [f"  {note}"])
    numbers = sum(len(re.findall(r"-?\d+\.\d+", line)) for line in own)
    parameters = {"id": 0, "diag": 0, "toep": 3}.get(term.split("(")[0], 1)
    assert numbers == 2 * rows + parameters


# -- readable whatever comes ---------------------------------------------------------------


def test_many_coefficients_are_cut_with_a_way_to_all():
    data = simulated(n=2000)
    data["f"] = [f"level {i:03d}" for i in np.random.default_rng(2).integers(150, size=2000)]
    text = str(summary_of("y ~ f + (1 | g)", data))
    assert "\n  110 coefficients more: fit.fixef()\n" in text
    assert text.count("f[T.level") == 39
    assert max(map(len, text.splitlines())) <= WIDTH


def test_many_random_columns_are_cut_with_a_way_to_all():
    data = simulated(n=3000, groups=50)
    data["f"] = [f"{i:02d}" for i in np.random.default_rng(2).integers(25, size=3000)]
    text = str(summary_of("y ~ 1 + diag(0 + f | g)", data))
    assert "  5 terms more of (diag(0 + f | g)): fit.varcorr()" in text
    text = str(summary_of("y ~ 1 + (0 + f | g)", data[data["f"] < "07"]))
    assert "  All correlations of (0 + f | g): fit.varcorr()" in text
    assert max(map(len, text.splitlines())) <= WIDTH


def test_a_long_name_gets_a_line_of_its_own():
    name = "how satisfied are you with the opening hours of the library on public holidays"
    data = simulated().rename(columns={"x": name})
    text = str(summary_of(f"y ~ `{name}` + (`{name}` | g)", data))
    lines = text.splitlines()
    assert name in lines
    assert max(map(len, lines)) <= WIDTH
    assert "Intercept" in text


def test_a_million_levels_stay_a_line():
    fit = me.fit("y ~ x + (1 | g)", simulated())
    term = fit.estimates.terms[0]
    many = replace(term, levels=np.arange(1_000_000))
    estimates = replace(fit.estimates, terms=(many,))
    text = str(summarize(fit.design, estimates, np.zeros(5), fit._freedom("satterthwaite")))
    assert "\nGroups  g 1,000,000\n" in text


def test_without_fixed_effects(sleepstudy):
    text = str(summary_of("Reaction ~ 0 + (1 | Subject)", sleepstudy))
    assert re.search(r"^Fixed effects .*\n +Estimate .*\n  none$", text, re.MULTILINE)


def test_scales_far_apart():
    data = simulated()
    data["x"] *= 1e9
    text = str(summary_of("y ~ x + (x | g)", data))
    assert "nan" not in text
    assert max(map(len, text.splitlines())) <= WIDTH
    row = re.search(r"^x +(\S+) +(\S+) +\S+ +(\S+)", text.split("Fixed effects")[1], re.MULTILINE)
    assert row is not None
    assert 0.5e-9 < float(row[1]) < 1.5e-9
    assert float(row[1]) / float(row[2]) == pytest.approx(float(row[3]), rel=1e-2)


# -- numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([24.741, 5.922, 25.592], ["24.741", "5.922", "25.592"]),
        ([0.0, 3.7157], ["0.000", "3.716"]),
        ([1e6, 1.0], ["1000000.00", "1.00"]),
        ([1340.6, 0.00078489], ["1340.60", "0.000785"]),
        ([1e-9, 2e-9], ["1e-09", "2e-09"]),
        ([np.nan, 1.0], ["-", "1.000"]),
        ([0.0, 0.0], ["0.00", "0.00"]),
        ([-1e-5, 2.0], ["0.000", "2.000"]),
    ],
)
def test_sizes_in_one_column(values, texts):
    assert formats.sizes(values) == texts


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5000"), (0.00012, "0.0001"), (0.00009, "9.0e-05"), (1e-300, "<2e-16"), (np.nan, "-")],
)
def test_p_values(value, text):
    assert formats.p_value(value) == text


# -- HTML ----------------------------------------------------------------------------------


class Outline(HTMLParser):
    """Elements in order, whether they are balanced, and all text outside the style."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data + " "


def outline(html):
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert not parser.open
    return parser


def test_html_is_one_block_of_semantic_tables(sleepstudy):
    fit = me.fit("Reaction ~ Days + (Days | Subject)", sleepstudy)
    page = outline(fit._repr_html_())
    tags = [tag for tag, _ in page.seen]
    assert tags[0] == "section"
    assert tags.count("table") == tags.count("caption") == tags.count("thead") == 3
    scopes = [attrs.get("scope") for tag, attrs in page.seen if tag == "th"]
    assert scopes.count("row") == 6
    assert None not in scopes
    assert "251.405" in page.text
    assert "Optimum certified" in page.text


def test_html_styles_nothing_outside_and_knows_dark(sleepstudy):
    html = me.fit("Reaction ~ Days + (1 | Subject)", sleepstudy)._repr_html_()
    style = html.split("<style>")[1].split("</style>")[0]
    selectors = re.findall(r"^([^\s{}@][^{};]*)\{", style, re.MULTILINE)
    assert selectors
    for selector in selectors:
        assert all(s.strip().startswith(".mixedeffects-summary") for s in selector.split(","))
    assert "@media (prefers-color-scheme: dark)" in style
    assert "http" not in html.replace("http://www.w3.org", "")


def test_html_escapes_names():
    data = simulated().rename(columns={"x": "<script>alert(1)</script> & co"})
    html = me.fit("y ~ `<script>alert(1)</script> & co` + (1 | g)", data)._repr_html_()
    assert "<script" not in html
    page = outline(html)
    assert "<script>alert(1)</script> & co" in page.text
