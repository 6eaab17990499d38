"""The benchmark cases: seeded data and an lme4 formula each.

A case is found by its name, or made to size: ``slopes/1000000/100000`` is the maker ``slopes`` with
1,000,000 rows and 100,000 groups.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

PACKAGE_FILES = Path(__file__).parents[1] / "src" / "mixedeffects" / "data" / "files"


@dataclass(frozen=True, slots=True)
class Case:
    """A model and the data to fit it to; `refits` > 0 times that many refits to new responses."""

    name: str
    formula: str
    make: Callable[[], pd.DataFrame]
    refits: int = 0
    family: str = "gaussian"
    zero_inflation: str | None = None

    @property
    def response(self) -> str:
        return self.formula.split("~")[0].strip()


def dataset_path(name: str) -> Path:
    """The file of one of the package's datasets; BENCHMARK_DATA names another folder of them."""
    folder = Path(os.environ.get("BENCHMARK_DATA", PACKAGE_FILES))
    found = [path for suffix in (".csv", ".csv.gz") if (path := folder / (name + suffix)).exists()]
    if not found:
        raise FileNotFoundError(f"{name}.csv or {name}.csv.gz is not in {folder}")
    return found[0]


def dataset(name: str) -> pd.DataFrame:
    return pd.read_csv(dataset_path(name))


def oats() -> pd.DataFrame:
    """Nitrogen as a category in every program that reads the file."""
    data = dataset("oats")
    return data.assign(nitroF="n" + data["nitroF"].astype(str))


def slopes(rows: int, groups: int) -> pd.DataFrame:
    """Correlated intercept and slope over one factor; columns y, x, z, g."""
    random = np.random.default_rng(100)
    g = random.integers(0, groups, rows)
    x, z = random.normal(size=(2, rows))
    b = random.normal(size=(groups, 2)) @ np.array([[0.8, 0.2], [0.0, 0.4]])
    y = 1 + 0.5 * x - 0.3 * z + b[g, 0] + b[g, 1] * x + random.normal(size=rows)
    return pd.DataFrame({"y": y, "x": x, "z": z, "g": g})


def one_factor(rows: int, groups: int) -> pd.DataFrame:
    """Random intercepts over one factor; columns y, x, g."""
    random = np.random.default_rng(101)
    g = random.integers(0, groups, rows)
    x = random.normal(size=rows)
    y = 1 + 0.5 * x + 0.7 * random.normal(size=groups)[g] + random.normal(size=rows)
    return pd.DataFrame({"y": y, "x": x, "g": g})


def crossed(rows: int, first: int, second: int) -> pd.DataFrame:
    """Two factors crossed at random; columns y, x, a, b."""
    random = np.random.default_rng(200)
    a = random.integers(0, first, rows)
    b = random.integers(0, second, rows)
    x = random.normal(size=rows)
    effects = 0.7 * random.normal(size=first)[a] + 0.5 * random.normal(size=second)[b]
    y = 1 + 0.5 * x + effects + random.normal(size=rows)
    return pd.DataFrame({"y": y, "x": x, "a": a, "b": b})


def partly_crossed(rows: int, subjects: int, items: int) -> pd.DataFrame:
    """Each subject meets rows/subjects of the items; columns y, x, condition, subject, item."""
    random = np.random.default_rng(201)
    each = rows // subjects
    subject = np.repeat(np.arange(subjects), each)
    item = np.concatenate([random.permutation(items)[:each] for _ in range(subjects)])
    condition = (subject + item) % 2
    x = random.normal(size=len(item))
    effects = 0.8 * random.normal(size=subjects)[subject] + 0.5 * random.normal(size=items)[item]
    y = 1 + 0.3 * condition + 0.2 * x + effects + random.normal(size=len(item))
    return pd.DataFrame({"y": y, "x": x, "condition": condition, "subject": subject, "item": item})


def nested(rows: int) -> pd.DataFrame:
    """A chain nested four deep, five rows in each leaf; labels repeat from parent to parent."""
    random = np.random.default_rng(300)
    leaf = np.arange(rows) // 5
    units = {"a": leaf // 1000, "b": leaf // 100, "c": leaf // 10, "d": leaf}
    x = random.normal(size=rows)
    y = 1 + 0.5 * x + random.normal(size=rows)
    for scale, unit in zip((0.8, 0.6, 0.5, 0.4), units.values(), strict=True):
        y += scale * random.normal(size=unit[-1] + 1)[unit]
    labels = {name: unit % (10 if name != "a" else rows) for name, unit in units.items()}
    return pd.DataFrame({"y": y, "x": x, **labels})


def maximal(subjects: int, items: int) -> pd.DataFrame:
    """A 2 x 2 design within subjects and within items, every cell once, slopes on everything."""
    random = np.random.default_rng(400)
    cells = np.array(list(np.ndindex(subjects, items, 2, 2)))
    subject, item, first, second = cells.T
    A, B = first - 0.5, second - 0.5
    design = np.column_stack([np.ones(len(A)), A, B, A * B])
    mixing = np.eye(4) + 0.3 * np.tri(4, k=-1)
    of_subject = random.normal(size=(subjects, 4)) @ mixing * [1.0, 0.6, 0.5, 0.7]
    of_item = random.normal(size=(items, 4)) @ mixing * [0.8, 0.4, 0.6, 0.5]
    y = design @ [1.0, 0.5, -0.4, 0.3] + random.normal(size=len(A))
    y += np.sum(design * (of_subject[subject] + of_item[item]), axis=1)
    return pd.DataFrame({"y": y, "A": A, "B": B, "subject": subject, "item": item})


def answers(rows: int, first: int, second: int) -> pd.DataFrame:
    """Binary answers of persons, and to items where `second` > 0; columns y, x, a, b."""
    random = np.random.default_rng(500)
    a = random.integers(0, first, rows)
    b = random.integers(0, max(second, 1), rows)
    x = random.normal(size=rows)
    effects = (
        random.normal(size=first)[a] + 0.5 * (second > 0) * random.normal(size=max(second, 1))[b]
    )
    chance = 1 / (1 + np.exp(0.5 - 0.8 * x - effects))
    y = (random.random(rows) < chance).astype(float)
    return pd.DataFrame({"y": y, "x": x, "a": a, "b": b})


def verbal_aggression() -> pd.DataFrame:
    data = dataset("verbagg")
    return data.assign(y=(data["r2"] == "Y").astype(float))


def contraception() -> pd.DataFrame:
    data = dataset("contraception")
    return data.assign(y=(data["use"] == "Y").astype(float), age2=data["age"] ** 2 / 100)


def grouse_ticks() -> pd.DataFrame:
    data = dataset("grouseticks")
    height = (data["HEIGHT"] - data["HEIGHT"].mean()) / data["HEIGHT"].std()
    return data.assign(height=height, YEAR="y" + data["YEAR"].astype(str))


MAKERS: dict[str, tuple[str, Callable[..., pd.DataFrame]]] = {
    "slopes": ("y ~ x + z + (x | g)", slopes),
    "one_factor": ("y ~ x + (1 | g)", one_factor),
    "crossed": ("y ~ x + (1 | a) + (1 | b)", crossed),
    "partly_crossed": ("y ~ x*condition + (1 | subject) + (1 | item)", partly_crossed),
    "nested": ("y ~ x + (1 | a/b/c/d)", nested),
    "maximal": ("y ~ A*B + (A*B | subject) + (A*B | item)", maximal),
}


def sized(name: str, maker: str, *sizes: int, refits: int = 0) -> Case:
    formula, make = MAKERS[maker]
    return Case(name, formula, lambda: make(*sizes), refits)


def binary(name: str, rows: int, first: int, second: int = 0) -> Case:
    formula = "y ~ x + (1 | a)" + (" + (1 | b)" if second else "")
    return Case(name, formula, lambda: answers(rows, first, second), family="binomial")


SLEEP = "Reaction ~ Days + (Days | Subject)"
INSTEVAL = "y ~ service + (1 | s) + (1 | d) + (1 | dept)"
VERBAGG = (
    "y ~ Anger + Gender + btype + situ + Anger:Gender + Anger:btype + Anger:situ + Gender:btype"
    " + Gender:situ + btype:situ + (1 | id) + (1 | item)"
)
GROUSE = "TICKS ~ YEAR + height + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION)"
CONTRACEPTION = "y ~ age + age2 + urban + (urban | district)"
SALAMANDERS = "count ~ spp + mined + (1 | site)"
INSTEVAL_SLOPES = "y ~ service + (1 | s) + (service | d)"

CASES = {
    case.name: case
    for case in (
        Case("sleepstudy", SLEEP, lambda: dataset("sleepstudy")),
        Case("sleepstudy_refit", SLEEP, lambda: dataset("sleepstudy"), refits=100),
        Case("oats", "yield ~ nitroF * Variety + (1 | Block/Variety)", oats),
        sized("nested", "nested", 100_000),
        sized("slopes_100k", "slopes", 100_000, 5_000),
        sized("slopes_1m", "slopes", 1_000_000, 100_000),
        sized("maximal", "maximal", 60, 30),
        Case("insteval", INSTEVAL, lambda: dataset("insteval")),
        Case("insteval_slopes", INSTEVAL_SLOPES, lambda: dataset("insteval")),
        sized("crossed_200k", "crossed", 200_000, 20_000, 5_000),
        Case("verbagg_two_way", VERBAGG, verbal_aggression, family="binomial"),
        Case("grouseticks", GROUSE, grouse_ticks, family="poisson"),
        Case("contraception", CONTRACEPTION, contraception, family="binomial"),
        Case("salamanders", SALAMANDERS, lambda: dataset("salamanders"), 0, "nbinom2", "~ mined"),
        binary("binary_100k", 100_000, 5_000),
        binary("binary_1m", 1_000_000, 10_000),
        binary("binary_crossed_200k", 200_000, 10_000, 2_000),
    )
}


def find_case(name: str) -> Case:
    """A case by name, or by maker and sizes: ``one_factor/1000000/1000``."""
    if name in CASES:
        return CASES[name]
    maker, *sizes = name.split("/")
    if maker not in MAKERS or not sizes:
        raise SystemExit(f"no case {name!r}; there are {', '.join(CASES)} and makers: {MAKERS}")
    return sized(name, maker, *map(int, sizes))
