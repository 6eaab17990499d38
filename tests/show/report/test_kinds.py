"""Pages about each kind of fit: what they say, what they leave out, what they warn of."""

import re
from dataclasses import replace

import numpy as np
import pytest

import mixedeffects as me


def page_of(tmp_path, *fits):
    path = tmp_path / "report.html"
    me.report(path, *fits)
    return path.read_text(encoding="utf-8")


def cells(text, caption):
    """The rows of a table as texts."""
    found = re.search(rf"<caption>{re.escape(caption)}.*?</table>", text, re.DOTALL)[0]
    rows = re.findall(r"<tr>(.*?)</tr>", found, re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


@pytest.fixture(scope="module")
def sleep():
    return me.datasets.load("sleepstudy")


@pytest.fixture
def undrawn(monkeypatch):
    """Pages without pictures, which take most of the time."""
    for module in ("fits", "posteriors"):
        monkeypatch.setattr(f"mixedeffects.model.reporting.{module}.drawn", lambda *_: "")


def test_a_failed_certificate_stands_first(sleep, tmp_path, undrawn):
    fit = me.fit("Reaction ~ Days + (1 | Subject)", sleep)
    first, *others = fit.checks
    broken = replace(first, passed=False, value=0.5, message="the optimizer stopped early")
    fit._fit = replace(fit._fit, estimates=replace(fit._fit.estimates, checks=(broken, *others)))
    text = page_of(tmp_path, fit)
    warning = text.index("The optimum does not pass its checks:")
    assert text.index("<h1>") < warning < text.index("<h2>")
    assert "gradient 0.5 (limit 0.001): the optimizer stopped early" in text
    assert cells(text, "Checks of the optimum")[1][:2] == ["gradient", "FAILS"]


def test_missing_rows_are_counted_by_column(sleep, tmp_path, undrawn):
    data = sleep.astype({"Days": float})
    data.loc[[3, 5, 9], "Days"] = np.nan
    data.loc[[3, 20], "Reaction"] = np.nan
    text = page_of(tmp_path, me.fit("Reaction ~ Days + (1 | Subject)", data))
    assert "176 of 180" in text
    assert sorted(cells(text, "Rows left out")[1:]) == [["Days", "3"], ["Reaction", "2"]]
    assert cells(text, "Groups")[1] == ["Subject", "18", "7", "10", "10"]
    assert "176 rows; 4 rows with missing values left out" in text


def test_means_and_call_of_a_linear_fit(tmp_path, undrawn):
    fit = me.fit("effort ~ Type + (1 | Subject)", me.datasets.load("ergostool"), reml=False)
    text = page_of(tmp_path, fit)
    expected = fit.emmeans("Type").table["estimate"].round(4).tolist()
    found = [float(row[1]) for row in cells(text, "Marginal means of Type")[1:]]
    np.testing.assert_allclose(found, expected)
    assert "reml=False" in text
    assert "fitted by maximum likelihood" in text
    assert "Patterson" not in text
    assert "Crainiceanu, C. M., &amp; Ruppert, D. (2004)" in text


def test_ordered_categories_leave_out_what_they_lack(tmp_path):
    fit = me.fit(
        "rating ~ temp + contact + (1 | judge)", me.datasets.load("wine"), family="cumulative"
    )
    text = page_of(tmp_path, fit)
    assert "Picture &#x27;Groups&#x27; is left out: Ordered categories" in text
    assert "McCullagh" in text
    assert "<mtext>logit</mtext>" in text
    assert "Dunn" not in text


def test_zero_inflation_has_its_predictor(tmp_path, undrawn):
    fit = me.fit(
        "count ~ mined + (1 | site)",
        me.datasets.load("salamanders"),
        family="nbinom2",
        zero_inflation="~ mined",
    )
    text = page_of(tmp_path, fit)
    assert "R² and intraclass correlations are left out" in text
    assert "Nakagawa" not in text
    assert "Lambert, D. (1992)" in text
    assert "<mtext>with probability</mtext>" in text
    call = text[text.index("me.fit(") :]
    assert "family=&#x27;nbinom2&#x27;" in call
    assert "zero_inflation=&#x27;~ mined&#x27;" in call


def test_fits_side_by_side(sleep, tmp_path, undrawn):
    fits = [
        me.fit(f, sleep)
        for f in (
            "Reaction ~ 1 + (1 | Subject)",
            "Reaction ~ Days + (1 | Subject)",
            "Reaction ~ Days + (Days | Subject)",
        )
    ]
    text = page_of(tmp_path, *fits)
    rows = {row[0]: row[1:] for row in cells(text, "Coefficients and criteria")}
    assert rows["Days"] == ["", "10.4673 (0.8042)", "10.467 (1.546)"]
    assert rows["sd(Intercept | Subject)"] == ["35.75", "37.12", "24.74"]
    assert rows["cor(Intercept, Days | Subject)"][2].startswith("0.0655")
    assert rows["AIC"] == [f"{fit.aic:.3f}" for fit in fits]
    compared = cells(text, "The models compared")
    table = me.compare(*fits, refit=True)
    place = compared[0].index("Statistic")
    found = [row[place] for row in compared[2:]]
    np.testing.assert_allclose(list(map(float, found)), table["statistic"][1:], rtol=1e-4)
    assert text.count("ML (refitted)") == 3
    assert text.count("<h3>References</h3>") == 1
    assert "after refitting by maximum likelihood" in text


def test_fits_that_cannot_be_compared_say_why(sleep, tmp_path, undrawn):
    fits = [
        me.fit("Reaction ~ Days + (1 | Subject)", sleep),
        me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff")),
    ]
    text = page_of(tmp_path, *fits)
    assert "Tests of the models against each other are left out:" in text
    assert "Model 2: Yield ~ 1 + (1 | Batch)" in text


def test_a_posterior_has_its_priors_and_checks(sleep, tmp_path, undrawn):
    post = me.sample("Reaction ~ Days + (1 | Subject)", sleep, seed=1, draws=200, progress=False)
    text = page_of(tmp_path, post)
    assert cells(text, "Priors")[1][0] == "Intercept"
    assert [row[0] for row in cells(text, "Leave-one-out")[1:]] == ["elpd_loo", "p_loo", "loo_ic"]
    assert "Hoffman, M. D." in text
    assert "seed=1" in text
    assert ("does not pass its checks" in text) == (not post.converged)


def test_columns_that_only_group_are_no_numbers_and_prose_has_no_backticks(tmp_path, undrawn):
    rng = np.random.default_rng(2)
    trials = {
        "said yes": np.where(rng.random(90) < 0.6, "yes", "no"),
        "age": rng.uniform(20, 60, 90),
        "person": np.repeat(np.arange(101, 116), 6),
        "week": np.tile(np.arange(6.0), 15),
    }
    fit = me.fit("`said yes` ~ age + week + (1 | person)", trials, family="binomial")
    text = page_of(tmp_path, fit)
    assert "said yes: no or yes (Bernoulli distributed)." in text
    assert "Mixed model of said yes" in text
    assert ["person", "levels", "15 levels"] in cells(text, "Variables")
    over = me.fit("age ~ week + (1 | week) + (1 | person)", trials, on_check="ignore")
    kinds = {row[0]: row[1] for row in cells(page_of(tmp_path, over), "Variables")}
    assert kinds["week"] == "numbers"
