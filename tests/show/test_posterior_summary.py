"""The summary of a posterior: its numbers are those of the tables, in text and HTML."""

from __future__ import annotations

import numpy as np
import pytest

import mixedeffects as me
from drawn_posteriors import drawn, table


@pytest.fixture(scope="module")
def post():
    return drawn("y ~ x + (1 + x | g)")


def test_text(post):
    text = str(post.summary(level=0.9))
    assert text.startswith("Prior of a linear mixed model\ny ~ x + (1 + x | g)")
    assert "2 chains of 60 draws, seed 5" in text
    assert "cor(Intercept, x)" in text
    assert text.endswith("Independent draws from the prior.")
    assert "5%" in text
    assert "95%" in text
    row = next(line for line in text.splitlines() if line.startswith("x "))
    assert float(row.split()[1]) == pytest.approx(post.fixef()["estimate"][1], abs=5e-3)
    assert max(map(len, text.splitlines())) <= 88


def test_html(post):
    assert post._repr_html_().startswith('<section class="mixedeffects-summary">')
    assert "Normal(0, 0.3)" in post._repr_html_()


def test_all_predictors_have_their_tables():
    post = drawn(
        "count ~ x + (1 | g)",
        family="nbinom2",
        dispersion="~ x",
        zero_inflation="~ 1 + (1 | h)",
        weights="w",
        priors={"b": me.priors.Normal(0, 0.1)},
    )
    text = str(post.summary())
    for part in (
        "Prior of a mixed model of family nbinom2",
        "Dispersion      ~ x",
        "Zero inflation  ~ 1 + (1 | h)",
        "Dispersion: logarithm of the",
        "Zero inflation, on the logit scale",
        "h (zero inflation)",
        "they multiply the rows' log-likelihoods",
    ):
        assert part in text


def test_notes_of_columns_and_categories():
    data = table()
    data["x2"] = 2.0 * data["x"]
    assert "Left out, as other columns determine them: x2" in str(
        drawn("y ~ x + x2 + (1 | g)", data).summary()
    )
    data["grade"] = (data["x"] > 2.0).astype(float) + (data["x"] > 2.5)
    ordinal = str(drawn("grade ~ f + (1 | g)", data, family="cumulative").summary())
    assert "Categories of grade in their order" in ordinal
    assert "Thresholds" in ordinal


def test_large_terms_show_their_first_rows():
    """Twelve standard deviations and 66 correlations: the rest, and the residual, are told."""
    data = {"y": table()["y"], "t": np.tile(np.arange(12), 4), "g": np.repeat(np.arange(4), 12)}
    post = drawn("y ~ 1 + ar1(t | g)", data, priors={"sd": me.priors.HalfNormal(0.4)})
    text = str(post.summary())
    assert "38 rows more: post.varcorr()" in text
    assert "Residual" in text
    assert len(post.varcorr()) == 12 + 66 + 1
