"""The data sets shipped with the package."""

import numpy as np
import pandas as pd
import pytest

from mixedeffects.data import datasets
from mixedeffects.data.frames import read_columns
from mixedeffects.errors import DataError

EXPECTED = (
    "cake carrots cbpp contraception dyestuff dyestuff2 epil2 ergostool grouseticks ham indometh"
    " insteval loblolly machines oats orange orthodont owls oxboys pastes penicillin salamanders"
    " sleepstudy theoph tvbo verbagg wine"
)
BACKENDS = ("pandas", "polars", "pyarrow")


def test_names():
    assert datasets.names() == tuple(EXPECTED.split())


@pytest.mark.parametrize("name", datasets.names())
def test_each_is_described_and_reads(name):
    about = datasets.describe(name)
    assert about.title
    assert about.description
    assert about.source
    assert about.origin
    assert all(about.columns.values())
    columns = datasets.read(name)
    assert columns.n_rows == about.n_rows
    assert tuple(columns.columns) == tuple(about.columns) == columns.available
    for column in columns.columns.values():
        assert len(column) == about.n_rows
        if column.levels is not None:
            assert set(np.unique(column.values[~column.missing])) == set(range(len(column.levels)))


@pytest.mark.parametrize("frame", BACKENDS)
@pytest.mark.parametrize("name", ["sleepstudy", "cake", "carrots", "verbagg", "theoph"])
def test_each_library_gives_the_same_columns(name, frame):
    pytest.importorskip(frame)
    expected, found = datasets.read(name), read_columns(datasets.load(name, frame))
    assert found.frame.backend == frame
    for column, plain in expected.columns.items():
        np.testing.assert_array_equal(found[column].values, plain.values)
        assert found[column].dtype_kind == plain.dtype_kind
        assert found[column].labels().tolist() == plain.labels().tolist()
        # a polars Enum does not say whether its order means anything
        assert found[column].ordered == (plain.ordered and frame != "polars")


def test_sleepstudy():
    frame = datasets.load("sleepstudy")
    assert list(frame.columns) == ["Reaction", "Days", "Subject"]
    assert len(frame) == 180
    assert frame["Reaction"].iloc[0] == 249.56
    assert frame["Days"].dtype == np.int64
    assert list(frame["Subject"].cat.categories)[:3] == ["308", "309", "310"]


def test_levels_in_declared_order():
    assert datasets.load("salamanders")["mined"].cat.categories.tolist() == ["yes", "no"]
    assert datasets.load("theoph")["Subject"].cat.categories.tolist()[:4] == ["6", "7", "8", "11"]
    temperature = datasets.load("cake")["temperature"]
    assert temperature.cat.ordered
    assert temperature.cat.categories.tolist()[0] == "175"


def test_levels_that_are_numbers_are_sorted_as_numbers():
    students = datasets.load("insteval")["s"].cat.categories
    assert students.tolist() == sorted(students, key=int)


def test_missing_values():
    carrots = datasets.load("carrots")
    assert carrots["Preference"].isna().sum() == 3
    assert pd.api.types.is_float_dtype(carrots["Preference"])


def test_description_prints():
    text = str(datasets.describe("dyestuff"))
    assert text.startswith("dyestuff: Yield of dyestuff by batch (30 rows)")
    assert "  Batch  batch of the intermediate product" in text
    assert "Davies" in text


@pytest.mark.parametrize("function", [datasets.load, datasets.describe, datasets.read])
def test_unknown_name(function):
    with pytest.raises(DataError, match=r"no data set 'sleepstdy'\. Did you mean 'sleepstudy'"):
        function("sleepstdy")


def test_unknown_library():
    with pytest.raises(DataError, match="pandas, polars, pyarrow, not 'spark'"):
        datasets.load("oats", "spark")


def test_resolve(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert datasets.resolve("oats").n_rows == 72
    assert datasets.resolve("oats.csv") == "oats.csv"
    (tmp_path / "oats").write_text("")
    assert datasets.resolve("oats") == "oats"


def test_size():
    assert sum(f.stat().st_size for f in datasets._FILES.iterdir()) < 600_000
