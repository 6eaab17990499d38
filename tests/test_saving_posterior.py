"""Posteriors in files: the same draws, priors and answers; nothing else is read."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

import mixedeffects as me
from drawn_posteriors import drawn, table
from mixedeffects.errors import FileFormatError
from mixedeffects.saving.archive import read_archive


def same(one, two):
    """Everything that a user sees of two posteriors."""
    assert str(one.summary()) == str(two.summary())
    for method in ("fixef", "varcorr", "ranef"):
        assert getattr(one, method)().equals(getattr(two, method)())
    assert one.priors.equals(two.priors)
    assert (one.seed, one.way, one.checks) == (two.seed, two.way, two.checks)
    np.testing.assert_array_equal(one.simulate(2, seed=1), two.simulate(2, seed=1))


def test_a_sampled_posterior(tmp_path):
    data = me.datasets.load("sleepstudy")
    post = me.sample(
        "Reaction ~ Days + (Days | Subject)",
        data,
        priors={"Days": me.priors.StudentT(3, 0, 20), "cor": me.priors.LKJ(2)},
        seed=1,
        chains=2,
        draws=100,
        tune=100,
        on_check="ignore",
    )
    post.save(tmp_path / "post")
    again = me.load(tmp_path / "post")
    assert isinstance(again, me.Posterior)
    same(post, again)
    assert again.loo().elpd == post.loo().elpd
    assert read_archive(tmp_path / "post")[0]["version"] == 3


def test_several_predictors_known_matrices_and_trials(tmp_path):
    pandas = pytest.importorskip("pandas")
    names = [f"g{i}" for i in range(8)]
    K = pandas.DataFrame(np.eye(8) + 0.2, index=names, columns=names)
    post = drawn(
        "k / size ~ x + known(1 | g, K)",
        {**table(), "K": K},
        family="betabinomial",
        weights="size",
        dispersion="~ f",
        offset=np.linspace(0, 1, 48),
        priors={"b": me.priors.Normal(0, 0.1), "dispersion: b": me.priors.Normal(0, 0.1)},
    )
    post.save(tmp_path / "post")
    same(post, me.load(tmp_path / "post"))


def test_thresholds_and_prior_only(tmp_path):
    data = table()
    data["grade"] = np.unique(data["grade"], return_inverse=True)[1]
    post = drawn("grade ~ x + (1 | g)", data, family="cumulative")
    post.save(tmp_path / "post")
    again = me.load(tmp_path / "post")
    assert str(again.summary()).startswith("Prior of a mixed model of family cumulative")
    same(post, again)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "post"
    drawn("y ~ x + (1 | g)", draws=30).save(path)
    return path


def rewritten(path, change):
    """The file with its manifest changed, its checksum right."""
    from mixedeffects.saving.archive import write_archive

    manifest, arrays = read_archive(path)
    change(manifest, arrays)
    version = manifest.pop("version")
    for key in ("format", "members"):
        manifest.pop(key)
    write_archive(path, version, manifest, arrays)


def test_draws_of_other_parameters_are_refused(saved):
    def change(manifest, arrays):
        arrays["draws/beta.npy"] = arrays["draws/beta.npy"][..., :1]

    rewritten(saved, change)
    with pytest.raises(FileFormatError, match="draws of shape"):
        me.load(saved)


def test_a_prior_that_is_none_is_refused(saved):
    def change(manifest, arrays):
        manifest["priors"] = [{"parameter": "x", "kind": "__import__", "options": {}}]

    rewritten(saved, change)
    with pytest.raises(FileFormatError, match="is no prior"):
        me.load(saved)


def test_a_missing_part_is_named(saved):
    rewritten(saved, lambda manifest, arrays: manifest.pop("draws"))
    with pytest.raises(FileFormatError, match="'draws'"):
        me.load(saved)


def test_altered_draws_are_found(saved):
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["draws/beta.npy"] = members["draws/beta.npy"][:-8] + b"\0" * 8
    with zipfile.ZipFile(saved, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(FileFormatError, match="checksum"):
        me.load(saved)


def test_the_manifest_is_plain(saved):
    manifest, _ = read_archive(saved)
    assert manifest["kind"] == "posterior"
    assert json.loads(json.dumps(manifest["settings"])) == {
        "chains": 2,
        "draws": 30,
        "tune": 1000,
        "seed": 5,
    }
