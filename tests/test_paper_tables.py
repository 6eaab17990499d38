"""Fits side by side in maketables: the numbers of our tables, by the names that it asks for."""

import numpy as np
import pytest

maketables = pytest.importorskip("maketables")

import mixedeffects as me  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def fits():
    data = me.datasets.load("sleepstudy")
    return [me.fit(f"Reaction ~ Days + ({x} | Subject)", data) for x in ("1", "Days")]


@pytest.fixture(scope="module")
def salamanders():
    data = me.datasets.load("salamanders")
    formula = "count ~ mined + (1 | site)"
    return me.fit(formula, data, family="nbinom2", zero_inflation="~ mined")


def test_coefficients_are_those_of_fixef(fits):
    table, own = fits[1].__maketables_coef_table__, fits[1].fixef()
    assert list(table.index) == list(own["term"])
    for theirs, ours in (("b", "estimate"), ("se", "std_error"), ("p", "p_value")):
        np.testing.assert_array_equal(table[theirs], own[ours])


def test_statistics_are_those_of_the_fit(fits):
    fit = fits[1]
    found = {key: fit.__maketables_stat__(key) for key in fit.__maketables_default_stat_keys__}
    spread = dict(zip(fit.varcorr()["term1"], fit.varcorr()["sd_or_corr"], strict=False))
    assert found["SD Days, Subject"] == spread["Days"]
    assert found["SD residual"] == fit.sigma
    assert (found["N"], found["N Subject"]) == (180, 18)
    assert (found["AIC"], found["BIC"]) == (fit.aic, fit.bic)
    assert found["R2 marginal"] == fit.r2().marginal
    assert -1 < found["Correlation Intercept, Days, Subject"] < 1


def test_several_predictors_keep_their_names(salamanders):
    names = list(salamanders.__maketables_coef_table__.index)
    assert "mined[T.no]" in names
    assert "zero_inflation: mined[T.no]" in names


@pytest.mark.parametrize("kind", ["tex", "gt"])
def test_tables_hold_both_fits(fits, kind):
    made = maketables.ETable(fits).make(type=kind)
    text = made if kind == "tex" else made.as_raw_html()
    for word in ("Days", "Reaction", "37.124", "5.922", "SD residual", "Log-likelihood"):
        assert word in text


def test_word_files(fits, salamanders, tmp_path):
    file = tmp_path / "table.docx"
    maketables.ETable([*fits, salamanders]).save(type="docx", file_name=str(file))
    assert file.stat().st_size > 1000
