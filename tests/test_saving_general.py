"""Generalized fits in files and back: every family, every part of the model, or a clear error."""

import hashlib
import io
import json
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest

import mixedeffects as me
from mixedeffects.errors import FileFormatError, ModelError
from mixedeffects.families import FAMILIES, Poisson
from mixedeffects.saving import archive

ATTRIBUTES = (
    *("formula", "family", "link", "nobs", "sigma", "loglik", "objective", "aic", "bic"),
    *("df_resid", "reml", "is_singular", "converged", "checks", "n_groups"),
)


def again(fit, folder):
    path = folder / "again.fit"
    fit.save(path)
    return me.load(path)


def assert_same(one, other, new_data=None):
    """Everything a user can ask for is the same to the last bit."""
    assert str(one.summary()) == str(other.summary())
    for name in ATTRIBUTES:
        left, right = getattr(one, name), getattr(other, name)
        assert left == right or (np.isnan(left) and np.isnan(right)), name
    for name in ("beta", "theta"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("fixef", "varcorr", "ranef"):
        pd.testing.assert_frame_equal(*(getattr(f, name)() for f in (one, other)))
    np.testing.assert_array_equal(one.vcov(), other.vcov())
    np.testing.assert_array_equal(np.asarray(one.fitted()), np.asarray(other.fitted()))
    if one.design.weights is None:
        np.testing.assert_array_equal(one.simulate(2, seed=1), other.simulate(2, seed=1))
    if new_data is not None:
        tables = [f.predict(new_data, std_error=True) for f in (one, other)]
        pd.testing.assert_frame_equal(*tables)


def simulated(name, n=240, groups=20):
    """Rows of a family, with a covariate and a group."""
    rng = np.random.default_rng(11)
    g, x = np.arange(n) % groups, rng.normal(size=n)
    mean = 0.5 + 0.4 * x + 0.5 * rng.normal(size=groups)[g]
    positive = np.exp(mean) * rng.gamma(4.0, 0.25, size=n)
    counts = rng.negative_binomial(3, 3 / (3 + np.exp(mean))).astype(float)
    share = np.clip(rng.beta(2.0, 2.0, size=n), 0.01, 0.99)
    if name in ("gaussian", "student_t"):
        y = mean + rng.standard_t(6, size=n)
    elif name in ("gamma", "inverse_gaussian", "lognormal"):
        y = positive
    elif name == "tweedie":
        y = np.where(rng.random(n) < 0.2, 0.0, positive)
    elif name in ("binomial", "betabinomial"):
        y = rng.binomial(9, 1 / (1 + np.exp(-mean))).astype(float)
    elif name == "beta":
        y = share
    elif name == "ordbeta":
        y = np.where(share < 0.1, 0.0, np.where(share > 0.9, 1.0, share))
    elif name == "cumulative":
        y = np.digitize(mean + rng.logistic(size=n), [0.0, 1.0, 2.0]).astype(float)
    else:
        y = counts + 1.0 if name.startswith("truncated") else counts
    return pd.DataFrame({"y": y, "x": x, "g": g, "size": 9.0})


# -- round trips ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family(tmp_path, name):
    data = simulated(name)
    left = "cbind(y, size - y)" if name in ("binomial", "betabinomial") else "y"
    family = me.families.Gaussian(link="log") if name == "gaussian" else name
    if name == "gaussian":
        data["y"] += 10.0
    fit = me.fit(f"{left} ~ x + (1 | g)", data, family=family, on_check="ignore")
    assert_same(fit, again(fit, tmp_path), data.iloc[5:25] if name != "cumulative" else None)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        (me.families.Binomial(link="cloglog"), {}),
        (me.families.Gamma(link="inverse"), {}),
        (me.families.Cumulative(link="probit", threshold="equidistant"), {}),
        ("binomial", {"quadrature": 5}),
        ("nbinom2", {"dispersion": "~ x", "zero_inflation": "~ x"}),
        ("poisson", {"zero_inflation": "~ 1 + (1 | g)"}),
        ("truncated_poisson", {"zero_inflation": "~ x + offset(size)"}),
        ("gaussian", {"dispersion": "~ x + (1 | g)"}),
    ],
    ids=str,
)
def test_options_and_further_predictors(tmp_path, family, options):
    kind = me.families.build(family)
    data = simulated("poisson" if "zero_inflation" in options else kind.name)
    if kind.name == "binomial":
        data["y"] = (data["y"] > 5).astype(float)
    fit = me.fit("y ~ x + (1 | g)", data, family=family, on_check="ignore", **options)
    loaded = again(fit, tmp_path)
    assert loaded._fit.family == fit._fit.family
    assert loaded._fit.quadrature == fit._fit.quadrature == options.get("quadrature", 1)
    assert [own.formula for own in loaded.design.others.values()] == [
        own.formula for own in fit.design.others.values()
    ]
    assert_same(fit, loaded)


def test_a_refit_of_a_loaded_fit_is_the_refit(tmp_path):
    fit = me.fit("y ~ x + (1 | g)", simulated("poisson"), family="nbinom2")
    y = fit.simulate(seed=3)
    one, other = fit.refit(y), again(fit, tmp_path).refit(y)
    assert one.objective == other.objective
    loaded = again(one, tmp_path)
    assert loaded.objective == one.objective != fit.objective
    np.testing.assert_allclose(loaded.beta, one.beta, rtol=1e-12)


def test_two_values_and_missing_rows(tmp_path):
    data = simulated("binomial")
    data["answer"] = np.where(data["y"] > 5, "yes", "no")
    data.loc[[3, 8], "answer"] = None
    fit = me.fit("answer ~ x + (1 | g)", data, family="binomial")
    loaded = again(fit, tmp_path)
    assert loaded.design.categories == ("no", "yes")
    assert loaded.design.dropped == {"answer": 2}
    assert_same(fit, loaded, data.iloc[10:20])


def test_proportions_with_trials_as_weights(tmp_path):
    data = simulated("binomial").assign(share=lambda d: d["y"] / d["size"])
    data.loc[4, "size"] = np.nan
    fit = me.fit("share ~ x + (1 | g)", data, family="binomial", weights="size")
    loaded = again(fit, tmp_path)
    np.testing.assert_array_equal(loaded.design.trials, fit.design.trials)
    assert_same(fit, loaded, data.iloc[10:20])


def test_prior_weights_offset_and_order_of_categories(tmp_path):
    data = simulated("cumulative")
    data["grade"] = pd.Categorical.from_codes(
        data["y"].astype(int), ["poor", "fair", "good", "best"], ordered=True
    )
    weights, offset = np.linspace(0.5, 2.0, len(data)), np.linspace(-1.0, 1.0, len(data))
    fit = me.fit("grade ~ x + (1 | g)", data, family="cumulative", weights=weights, offset=offset)
    loaded = again(fit, tmp_path)
    assert loaded.fixef()["term"].tolist()[1:] == ["poor|fair", "fair|good", "good|best"]
    assert_same(fit, loaded)


def test_a_singular_fit(tmp_path):
    data = simulated("poisson")
    data["y"] = np.random.default_rng(2).poisson(2.0, len(data)).astype(float)
    data["y"] = np.tile([1.0, 2.0, 2.0, 3.0], len(data) // 4)
    fit = me.fit("y ~ x + (x | g)", data, family="poisson", on_check="ignore")
    assert fit.is_singular
    loaded = again(fit, tmp_path)
    assert loaded.checks == fit.checks
    assert_same(fit, loaded, data.iloc[5:25])


def test_pickles(tmp_path):
    data = simulated("poisson")
    fit = me.fit("y ~ x + (1 | g)", data, family="nbinom2", zero_inflation="~ x", on_check="ignore")
    fit.ranef()  # what was cached does not stand in the way
    assert_same(fit, pickle.loads(pickle.dumps(fit)), data.iloc[:5])


# -- the file ------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "counts.fit"
    me.fit("y ~ x + (1 | g)", simulated("poisson"), family="nbinom2").save(path)
    return path


def test_the_manifest_says_what_the_model_is(saved):
    manifest, arrays = archive.read_archive(saved)
    assert manifest["version"] == 2
    assert manifest["family"] == {
        "name": "nbinom2",
        "options": {"link": "log"},
        "zero_inflated": False,
    }
    assert manifest["quadrature"] == 1
    assert manifest["others"] == {}
    assert not any(array.dtype.hasobject for array in arrays.values())


def test_the_same_fit_gives_the_same_bytes(saved, tmp_path):
    me.load(saved).save(tmp_path / "b")
    assert saved.read_bytes() == (tmp_path / "b").read_bytes()


def test_a_linear_fit_keeps_the_first_version(tmp_path):
    me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff")).save(tmp_path / "d.fit")
    manifest, _ = archive.read_archive(tmp_path / "d.fit")
    assert (manifest["version"], manifest["family"]) == (1, "gaussian")


def test_files_of_the_first_release_of_the_format_load(tmp_path):
    """Files written before there were generalized fits have no ``others``."""
    fit = me.fit("Yield ~ 1 + (1 | Batch)", me.datasets.load("dyestuff"))
    fit.save(tmp_path / "d.fit")
    rewrite(tmp_path / "d.fit", lambda members, manifest: manifest.pop("others"))
    assert me.load(tmp_path / "d.fit").objective == fit.objective


def test_a_family_of_the_users_own_is_refused(tmp_path):
    class Mine(Poisson):
        """Nothing that a file could make again."""

    fit = me.fit("y ~ x + (1 | g)", simulated("poisson"), family=Mine())
    with pytest.raises(ModelError, match=r"Family Mine is not one of me\.families.*pickle"):
        fit.save(tmp_path / "f.fit")
    assert not list(tmp_path.iterdir())


# -- files that are not right --------------------------------------------------------------


def rewrite(path, change):
    """Change members (bytes) and manifest; the checksums follow."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    manifest = json.loads(members["manifest.json"])
    change(members, manifest)
    for name in manifest["members"]:
        manifest["members"][name]["sha256"] = hashlib.sha256(members[name]).hexdigest()
    members["manifest.json"] = json.dumps(manifest).encode()
    members["manifest.sha256"] = hashlib.sha256(members["manifest.json"]).hexdigest().encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


def replaced(name, array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return lambda members, manifest: members.update({name: buffer.getvalue()})


def updated(**changes):
    return lambda members, manifest: manifest.update(changes)


NBINOM1 = {"name": "nbinom1", "options": {"link": "log"}, "zero_inflated": False}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (updated(family=NBINOM1), "but its data and formula give"),
        (updated(family={**NBINOM1, "name": "no_such"}), "it has no 'no_such'"),
        (updated(family={**NBINOM1, "options": {"link": "lgit"}}), "no link 'lgit'"),
        (updated(family={**NBINOM1, "options": {"shape": 3}}), "does not describe a fit"),
        (updated(family={**NBINOM1, "zero_inflated": True}), "parameters, its formula has 5"),
        (updated(family="poisson"), "does not describe a fit"),
        (updated(others={"dispersion": "~ x"}), "holds 4 parameters, its formula has 5"),
        (updated(others={"dispersion": "x"}), "takes a formula without a left side"),
        (updated(quadrature=7), "but its data and formula give"),
        (updated(quadrature="many"), "does not describe a fit"),
        (updated(formula="y ~ __import__('os') + (1 | g)"), "does not describe a fit"),
        (lambda members, manifest: manifest.pop("solution"), "it has no 'solution'"),
        (replaced("optimum/theta.npy", np.zeros(4)), "fit again from the data"),
        (replaced("solution/u.npy", np.zeros(3)), "not of the shape (20,)"),
        (replaced("solution/covariance.npy", np.zeros(4)), "not of the shape (4, 4)"),
        (replaced("response.npy", np.full(240, -1.0)), "'y' is -1 in row 0"),
        (replaced("response.npy", np.zeros(3)), "one value for each row"),
    ],
)
def test_contents_that_do_not_fit_together(saved, change, words):
    """What a program could write with right checksums."""
    rewrite(saved, change)
    with pytest.raises(FileFormatError) as caught:
        me.load(saved)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
