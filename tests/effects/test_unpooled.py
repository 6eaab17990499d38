"""Effects of levels from their own rows: regressions within groups, and the limit of modes."""

import numpy as np
import pytest

import mixedeffects as me
from mixedeffects.effects.predict import mean
from mixedeffects.effects.rows import own_rows
from mixedeffects.effects.unpooled import unpooled_effects


def test_they_are_the_regressions_within_groups():
    data = me.datasets.load("sleepstudy")
    fit = me.fit("Reaction ~ Days + (Days | Subject)", data)
    found = unpooled_effects(fit._fit, "Subject")
    for level, b in zip(found.levels, found.estimate, strict=True):
        own = data[data["Subject"].astype(str) == str(level)]
        slope, intercept = np.polyfit(own["Days"], own["Reaction"], 1)
        assert np.allclose(fit.beta + b, [intercept, slope], rtol=1e-9)
    assert found.names == ("Intercept", "Days")
    assert np.allclose(found.modes, fit.estimates.terms[0].modes)


def test_weights_count():
    data = me.datasets.load("sleepstudy").assign(w=lambda d: 1.0 + d["Days"])
    fit = me.fit("Reaction ~ Days + (Days | Subject)", data, weights="w")
    found = unpooled_effects(fit._fit, "Subject")
    own = data[data["Subject"].astype(str) == str(found.levels[3])]
    slope, intercept = np.polyfit(own["Days"], own["Reaction"], 1, w=np.sqrt(own["w"]))
    assert np.allclose(fit.beta + found.estimate[3], [intercept, slope], rtol=1e-9)


def test_other_groups_are_left_as_the_model_has_them():
    fit = me.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", me.datasets.load("penicillin"))
    found = unpooled_effects(fit._fit, "plate")
    terms = fit.estimates.terms
    assert terms[0].group == "plate"
    others = [np.zeros_like(terms[0].modes), terms[1].modes]
    left = fit.design.y - mean(own_rows(fit._fit), fit.beta, others)
    codes = fit.design.random[0].codes
    means = [left[codes == code].mean() for code in range(len(found.levels))]
    assert np.allclose(found.estimate[:, 0], means, rtol=1e-10, atol=1e-12)


def test_terms_of_one_group_stand_side_by_side():
    data = me.datasets.load("sleepstudy")
    apart = me.fit("Reaction ~ Days + (Days || Subject)", data)
    found = unpooled_effects(apart._fit, "Subject")
    parts = found.of_terms(found.estimate)
    assert sum(p.shape[1] for p in parts.values()) == 2
    assert np.array_equal(np.concatenate(list(parts.values()), axis=1), found.estimate)


def test_what_rows_do_not_determine_is_not_a_number():
    data = me.datasets.load("sleepstudy")
    short = data[(data["Subject"].astype(str) != "308") | (data["Days"] == 4)]
    fit = me.fit("Reaction ~ Days + (Days | Subject)", short)
    found = unpooled_effects(fit._fit, "Subject")
    single = found.levels.astype(str) == "308"
    assert np.isnan(found.estimate[single]).all()
    assert np.isfinite(found.estimate[~single]).all()


def test_modes_approach_them_as_the_random_effects_grow():
    data = me.datasets.load("sleepstudy")
    grown = data.copy()
    days = data["Days"] - data["Days"].mean()
    wild = np.random.default_rng(1).normal(size=(18, 2)) * 1e5
    codes = data["Subject"].astype("category").cat.codes.to_numpy()
    grown["Reaction"] = data["Reaction"] + wild[codes, 0] + wild[codes, 1] * days
    fit = me.fit("Reaction ~ Days + (Days | Subject)", grown)
    found = unpooled_effects(fit._fit, "Subject")
    assert np.allclose(found.modes, found.estimate, rtol=1e-5)


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_far_covariates_are_no_less_determined(shift):
    data = me.datasets.load("sleepstudy").assign(far=lambda d: d["Days"] + shift)
    fit = me.fit("Reaction ~ far + (far | Subject)", data)
    found = unpooled_effects(fit._fit, "Subject")
    slopes = fit.beta[1] + found.estimate[:, 1]
    own = data[data["Subject"].astype(str) == str(found.levels[0])]
    assert slopes[0] == pytest.approx(np.polyfit(own["Days"], own["Reaction"], 1)[0], rel=1e-6)
