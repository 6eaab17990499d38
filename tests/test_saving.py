"""A fit in a file and back: the same in every respect, or a clear error."""

import contextlib
import hashlib
import io
import json
import pickle
import zipfile

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixedeffects as me
from mixedeffects.errors import DataWarning, FileFormatError
from mixedeffects.saving import archive

SLOPES = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def sleepstudy():
    return me.datasets.load("sleepstudy")


@pytest.fixture
def saved(tmp_path, sleepstudy):
    """A saved fit, and its path."""
    path = tmp_path / "sleep.fit"
    me.fit(SLOPES, sleepstudy).save(path)
    return path


def again(fit, folder):
    path = folder / "again.fit"
    fit.save(path)
    return me.load(path)


def frame_of(table):
    return table if isinstance(table, pd.DataFrame) else table.to_pandas()


def assert_same(one, other, new_data=None, **options):
    """Everything a user can ask for is the same to the last bit."""
    assert str(one.summary()) == str(other.summary())
    for name in ("formula", "nobs", "reml", "sigma", "objective", "aic", "df_resid", "n_groups"):
        assert getattr(one, name) == getattr(other, name), name
    for name in ("beta", "theta"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("fixef", "varcorr", "ranef"):
        pd.testing.assert_frame_equal(*(frame_of(getattr(f, name)()) for f in (one, other)))
    for name in ("fitted", "residuals"):
        pd.testing.assert_series_equal(*(pd.Series(getattr(f, name)()) for f in (one, other)))
    np.testing.assert_array_equal(one.vcov(), other.vcov())
    np.testing.assert_array_equal(one.simulate(2, seed=1), other.simulate(2, seed=1))
    y = one.simulate(seed=3)
    assert one.refit(y, on_check="ignore").objective == other.refit(y, on_check="ignore").objective
    if new_data is not None:
        tables = (f.predict(new_data, interval="prediction", **options) for f in (one, other))
        pd.testing.assert_frame_equal(*map(frame_of, tables))


# -- round trips ---------------------------------------------------------------------------


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(
    "formula",
    [
        SLOPES,
        "Reaction ~ Days + (Days || Subject)",
        "log(Reaction) ~ poly(Days, 2) + (1 | Subject)",
        "Reaction ~ bs(Days, df=4) + scale(Days) + (1 | Subject)",
        "Reaction ~ C(Days, contr.sum) + (1 | Subject)",
    ],
)
def test_formulas(tmp_path, sleepstudy, formula, reml):
    fit = me.fit(formula, sleepstudy, reml=reml, on_check="ignore")
    assert_same(fit, again(fit, tmp_path), sleepstudy.iloc[5:25])


@pytest.mark.parametrize("structure", ["us", "diag", "id", "cs", "homcs", "toep", "ar1"])
def test_structures(tmp_path, structure):
    machines = me.datasets.load("machines")
    left = "Machine" if structure in ("toep", "ar1") else "0 + Machine"
    fit = me.fit(f"score ~ 1 + {structure}({left} | Worker)", machines, on_check="ignore")
    assert_same(fit, again(fit, tmp_path), machines.iloc[5:25])


def test_a_singular_fit(tmp_path):
    data = me.datasets.load("dyestuff2")
    fit = me.fit("Yield ~ 1 + (1 | Batch)", data)
    loaded = again(fit, tmp_path)
    assert loaded.is_singular
    assert_same(fit, loaded, data)


def keyed(n=120):
    """A data frame with a column of every kind, some values missing."""
    rng = np.random.default_rng(4)
    g = np.arange(n) % 12
    data = pd.DataFrame(
        {
            "y": rng.normal(size=n) + rng.normal(size=12)[g],
            "x": rng.normal(size=n),
            "text": np.array(["α", "b\0", "", "a b"])[rng.integers(4, size=n)],
            "flag": rng.integers(2, size=n).astype(bool),
            "whole": g,
            "key": g.astype(np.int64) + 2**60,
            "half": g / 2,
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(g, "D"),
            "name": np.array([f"group {i}" for i in g]),
        }
    )
    grades = pd.Categorical(data["text"].map(len), categories=[3, 2, 1, 0, 9], ordered=True)
    data["grade"] = grades
    data.loc[[2, 30], "x"] = np.nan
    data.loc[7, "text"] = None
    return data


@pytest.mark.parametrize("group", ["whole", "key", "half", "day", "name", "name:flag"])
def test_every_kind_of_column(tmp_path, group):
    data = keyed()
    fit = me.fit(f"y ~ x + text + flag + grade + (1 | {group})", data, on_check="ignore")
    loaded = again(fit, tmp_path)
    assert loaded.ranef()["level"].dtype == fit.ranef()["level"].dtype
    assert loaded.design.dropped == {"x": 2, "text": 1}
    assert_same(fit, loaded, data.iloc[8:29])


def test_integers_beyond_floats_keep_their_digits(tmp_path):
    fit = me.fit("y ~ x + (1 | key)", keyed(), on_check="ignore")
    assert again(fit, tmp_path).ranef()["level"].max() == 2**60 + 11


@pytest.mark.parametrize("as_array", [False, True])
def test_weights_and_offset(tmp_path, sleepstudy, as_array):
    data = sleepstudy.assign(w=np.linspace(0.5, 2, 180), o=np.linspace(-5, 5, 180))
    data.loc[4, "w"] = np.nan
    data.loc[[4, 9], "o"] = np.nan
    data.loc[20, "Reaction"] = np.nan
    options = {"weights": "w", "offset": "o"}
    if as_array:
        options = {name: data[column].to_numpy() for name, column in options.items()}
    fit = me.fit(SLOPES, data, **options)
    loaded = again(fit, tmp_path)
    assert fit.nobs == 177
    assert loaded.design.dropped == fit.design.dropped
    given = {"offset": np.arange(10.0)} if as_array else {}
    assert_same(fit, loaded, data.iloc[40:50], **given)
    if as_array:
        with pytest.raises(me.errors.DataError, match="offset"):
            loaded.predict(data)


def test_an_offset_in_the_formula_beside_an_array(tmp_path, sleepstudy):
    data = sleepstudy.assign(o=np.linspace(-5, 5, 180))
    fit = me.fit("Reaction ~ Days + offset(o) + (1 | Subject)", data, offset=np.arange(180.0))
    loaded = again(fit, tmp_path)
    np.testing.assert_allclose(loaded.fitted(), fit.fitted(), rtol=1e-14)
    new = [f.predict(data, offset=np.zeros(180)) for f in (fit, loaded)]
    np.testing.assert_allclose(*new, rtol=1e-14)


def test_known_matrices_shared_by_terms(tmp_path):
    rng = np.random.default_rng(8)
    labels = [f"animal {i}" for i in range(20)]
    A = rng.normal(size=(20, 20))
    K = pd.DataFrame(A @ A.T / 20 + np.eye(20), labels, labels)
    n = 150
    data = pd.DataFrame(
        {
            "animal": np.array(labels)[rng.integers(4, 20, size=n)],
            "dam": np.array(labels)[rng.integers(0, 9, size=n)],
            "y": rng.normal(size=n),
        }
    )
    data["y"] += data["animal"].map(dict(zip(labels, rng.normal(size=20), strict=True)))
    formula = "y ~ 1 + known(1 | animal, K) + known(1 | dam, K)"
    fit = me.fit(formula, data, on_check="ignore")
    assert K.shape == (20, 20)
    loaded = again(fit, tmp_path)
    for one, other in zip(fit.design.random, loaded.design.random, strict=True):
        np.testing.assert_array_equal(one.matrix, other.matrix)
    assert_same(fit, loaded, data.iloc[:9])


def test_a_refit_keeps_its_own_response(tmp_path, sleepstudy):
    fit = me.fit(SLOPES, sleepstudy)
    other = fit.refit(fit.simulate(seed=5))
    loaded = again(other, tmp_path)
    assert loaded.objective == other.objective != fit.objective
    # a refit starts from the old cross-products, hence other rounding
    np.testing.assert_allclose(loaded.beta, other.beta, rtol=1e-12)
    np.testing.assert_allclose(loaded.fitted(), other.fitted(), rtol=1e-12)
    np.testing.assert_allclose(loaded.refit(fit.design.y).beta, fit.beta, rtol=1e-6)


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(10, 370, 2, name="row"),
        pd.Index([f"r{i}" for i in range(180)], name="row"),
        pd.Index(np.arange(180)[::-1] * 3),
        pd.Index([1] * 180),
        pd.Index(np.arange(180) / 4),
        pd.DatetimeIndex(np.arange("2024-03", "2024-08-28", dtype="datetime64[D]")),
        pd.MultiIndex.from_product([list("abcdefghijklmnopqr"), range(10)], names=["s", None]),
    ],
    ids=lambda index: type(index).__name__,
)
def test_row_labels(tmp_path, sleepstudy, index):
    fit = me.fit(SLOPES, sleepstudy.set_axis(index))
    pd.testing.assert_index_equal(again(fit, tmp_path).fitted().index, index, exact="equiv")


def test_row_labels_of_other_types_are_left_out_with_a_warning(tmp_path, sleepstudy):
    data = sleepstudy.set_axis(pd.period_range("2024-01", periods=180, freq="M"))
    fit = me.fit(SLOPES, data)
    with pytest.warns(DataWarning, match=r"period\[M\] are not saved") as caught:
        fit.save(tmp_path / "again.fit")
    assert caught[0].filename == __file__
    assert list(me.load(tmp_path / "again.fit").fitted().index) == list(range(180))


def test_tables_stay_in_the_library_of_the_data(tmp_path):
    data = me.datasets.load("sleepstudy", frame="polars")
    fit = me.fit(SLOPES, data)
    loaded = again(fit, tmp_path)
    assert isinstance(loaded.fixef(), pl.DataFrame)
    assert_same(fit, loaded, data.head(5))


def test_columns_that_are_not_used_are_not_in_the_file(tmp_path, sleepstudy):
    path = tmp_path / "f.fit"
    me.fit(SLOPES, sleepstudy.assign(secret="confidential")).save(path)
    manifest, arrays = archive.read_archive(path)
    assert [column["name"] for column in manifest["columns"]] == ["Reaction", "Days", "Subject"]
    assert not any(b"confidential" in array.tobytes() for array in arrays.values())


# -- the file ------------------------------------------------------------------------------


def test_the_same_fit_gives_the_same_bytes(tmp_path, sleepstudy):
    fit = me.fit(SLOPES, sleepstudy)
    for name in ("a", "b"):
        fit.save(tmp_path / name)
    me.load(tmp_path / "a").save(tmp_path / "c")
    contents = {(tmp_path / name).read_bytes() for name in "abc"}
    assert len(contents) == 1


def test_every_member_is_a_plain_array_with_its_checksum(saved):
    with zipfile.ZipFile(saved) as file:
        manifest = json.loads(file.read("manifest.json"))
        assert manifest["format"] == "mixedeffects fit"
        assert manifest["version"] == 1
        assert manifest["package"] == me.__version__
        for name, about in manifest["members"].items():
            content = file.read(name)
            assert about == {
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
            assert not np.load(io.BytesIO(content), allow_pickle=False).dtype.hasobject


def test_a_write_that_fails_leaves_the_old_file(saved, sleepstudy, monkeypatch):
    before = saved.read_bytes()

    def fails(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", fails)
    with pytest.raises(OSError, match="no space left"):
        me.fit(SLOPES, sleepstudy).save(saved)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_a_folder_that_is_not_there(tmp_path, sleepstudy):
    with pytest.raises(FileNotFoundError):
        me.fit(SLOPES, sleepstudy).save(tmp_path / "no" / "f.fit")


def test_a_home_folder(tmp_path, sleepstudy, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    me.fit(SLOPES, sleepstudy).save("~/f.fit")
    assert me.load("~/f.fit").nobs == 180


# -- files that are not right --------------------------------------------------------------


def refusal(path):
    """The one line of the error that loading the file gives."""
    with pytest.raises(FileFormatError) as caught:
        me.load(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def rewrite(path, change, checksums=True):
    """Change the members, a dict of bytes; the checksums follow unless told otherwise."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    manifest = json.loads(members["manifest.json"])
    change(members, manifest)
    if checksums:
        listed = manifest["members"]
        for name in listed if isinstance(listed, dict) else ():
            if name in members:
                manifest["members"][name]["sha256"] = hashlib.sha256(members[name]).hexdigest()
        members["manifest.json"] = json.dumps(manifest).encode()
        members["manifest.sha256"] = hashlib.sha256(members["manifest.json"]).hexdigest().encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


def array_bytes(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def test_missing_folder_and_empty(tmp_path):
    assert "No such file" in refusal(tmp_path / "none.fit")
    assert "cannot be read" in refusal(tmp_path)
    (tmp_path / "empty").write_bytes(b"")
    assert "is not a saved fit" in refusal(tmp_path / "empty")


def test_truncated_anywhere(saved):
    whole = saved.read_bytes()
    for length in {*range(1, len(whole), 97), len(whole) - 1}:
        saved.write_bytes(whole[:length])
        message = refusal(saved)
        assert "truncated or damaged" in message or "not a saved fit" in message


def test_a_flipped_bit_anywhere(saved):
    whole = saved.read_bytes()
    for position in range(0, len(whole), 41):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        saved.write_bytes(bytes(damaged))
        # some bits of the container say nothing
        with contextlib.suppress(FileFormatError):
            assert me.load(saved).nobs == 180


@pytest.mark.parametrize("content", [b"PK", b"not a fit", pickle.dumps({"a": 1}), b"\x00" * 500])
def test_foreign(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    message = refusal(tmp_path / "f")
    assert "not a saved fit" in message or "truncated" in message


def test_a_foreign_zip(tmp_path, sleepstudy):
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as file:
        file.writestr("word/document.xml", "<x/>")
    assert "but not a saved fit: it has no manifest.json" in refusal(tmp_path / "f.zip")
    with zipfile.ZipFile(tmp_path / "g.zip", "w") as file:
        file.writestr("manifest.json", '{"name": "another program"}')
    assert "manifest is of another format" in refusal(tmp_path / "g.zip")


def test_a_later_version(saved):
    rewrite(saved, lambda members, manifest: manifest.update(version=4))
    message = refusal(saved)
    assert "format version 4" in message
    assert "Update mixedeffects" in message


@pytest.mark.parametrize("version", [None, "1", 0, -3])
def test_no_version(saved, version):
    rewrite(saved, lambda members, manifest: manifest.update(version=version))
    assert "is not a version" in refusal(saved)


def test_an_array_that_was_changed(saved):
    def change(members, manifest):
        members["columns/0.values.npy"] = array_bytes(np.arange(180.0))

    rewrite(saved, change, checksums=False)
    assert "columns/0.values.npy does not have its checksum" in refusal(saved)


def test_a_manifest_that_was_changed(saved):
    def change(members, manifest):
        members["manifest.json"] = members["manifest.json"].replace(b"true", b"false", 1)

    rewrite(saved, change, checksums=False)
    assert "manifest.json does not have its checksum" in refusal(saved)


@pytest.mark.parametrize("action", ["add", "remove"])
def test_members_that_are_not_listed_or_lack(saved, action):
    def change(members, manifest):
        if action == "add":
            members["more.npy"] = array_bytes(np.zeros(1))
        else:
            del members["columns/1.values.npy"]

    rewrite(saved, change)
    assert "not those that its manifest lists" in refusal(saved)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


def test_pickles_are_never_run(saved):
    def change(members, manifest):
        trap = np.array([Trap()], dtype=object)
        members["columns/0.values.npy"] = array_bytes(trap, allow_pickle=True)

    rewrite(saved, change)
    assert "columns/0.values.npy is not an array" in refusal(saved)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda members, manifest: manifest.update(formula="y ~ ("), "does not describe a fit"),
        (lambda members, manifest: manifest.update(formula="Days ~ 1 + (1 | Subject)"), "holds"),
        (lambda members, manifest: manifest.update(formula="Reaction ~ x + (1|g)"), "'x' is not"),
        (lambda members, manifest: manifest.update(reml=False), "holds the objective"),
        (lambda members, manifest: manifest.pop("columns"), "it has no 'columns'"),
        (lambda members, manifest: manifest.update(members=3), "lists no members"),
        (lambda members, manifest: manifest["columns"][0].update(kind="other"), "of its kind"),
        (lambda members, manifest: manifest.update(n_rows=179), "differ in length"),
        (
            lambda members, manifest: members.update(
                {"columns/2.values.npy": array_bytes(np.full(180, 40, np.int32))}
            ),
            "codes without a level",
        ),
        (
            lambda members, manifest: members.update(
                {"optimum/theta.npy": array_bytes(np.zeros(7))}
            ),
            "holds 7 covariance parameters, its formula has 3",
        ),
        (
            lambda members, manifest: members.update(
                {"optimum/theta.npy": array_bytes(np.full(3, 2.0))}
            ),
            "fit again from the data",
        ),
        (
            lambda members, manifest: members.update({"response.npy": array_bytes(np.zeros(3))}),
            "one value for each row",
        ),
    ],
)
def test_contents_that_do_not_fit_together(saved, change, words):
    """What a program could write with right checksums."""
    rewrite(saved, change)
    assert words in refusal(saved)


def test_a_formula_that_would_run_code_is_refused(saved):
    evil = "__import__('os').system('true') ~ Days + (1 | Subject)"
    rewrite(saved, lambda members, manifest: manifest.update(formula=evil))
    assert "does not describe a fit" in refusal(saved)


def test_without_the_library_of_the_data_tables_come_in_pandas(saved):
    rewrite(saved, lambda members, manifest: manifest.update(frame="no_such_library"))
    assert isinstance(me.load(saved).fixef(), pd.DataFrame)


def test_a_certificate_that_does_not_hold_is_still_reported(saved, monkeypatch):
    monkeypatch.setattr("mixedeffects.fitting.checks.GRADIENT", -1.0)
    loaded = me.load(saved)
    assert not loaded.converged
    assert "does NOT hold" in str(loaded.summary())
