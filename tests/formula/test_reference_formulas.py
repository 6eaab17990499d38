"""The formulas of R's reference fits: each is read, and has as many columns as R gives it."""

import numpy as np
import pytest

from mixedeffects.data import datasets
from mixedeffects.data.frames import read_columns
from mixedeffects.formula import build_design, parse_formula

# data set, formula as written in R, columns of the fixed part, columns of each random term
FITS = [
    ("cake", "angle ~ recipe + temp_f + (1 | recipe:replicate)", 8, [1]),
    ("cake", "angle ~ recipe * temp + (1 | replicate) + (1 | recipe:replicate)", 6, [1, 1]),
    ("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)", 18, [1]),
    (
        "cake",
        "angle ~ C(recipe, contr.sum) * C(temp_f, contr.sum) + (1 | recipe:replicate)",
        18,
        [1],
    ),
    ("cake", "angle ~ recipe * C(temperature, contr.poly) + (1 | recipe:replicate)", 18, [1]),
    (
        "carrots",
        "Preference ~ sens2 * Homesize + sens1 + (1 + sens1 + sens2 || Consumer)",
        5,
        [3],
    ),
    ("carrots", "Preference ~ sens2 + Homesize + (1 + sens2 | Consumer)", 3, [2]),
    ("cbpp", "incidence / size ~ period + (1 | herd)", 4, [1]),
    ("contraception", "age ~ urban * livch + (urban | district)", 8, [2]),
    ("contraception", "age ~ I(age^2) + urban + livch + (1 | district)", 6, [1]),
    ("dyestuff", "Yield ~ 1 + (1 | Batch)", 1, [1]),
    ("dyestuff2", "Yield ~ 1 + (1 | Batch)", 1, [1]),
    ("epil2", "y ~ Base * trt + Age + Visit + (Visit | subject)", 6, [2]),
    ("epil2", "y ~ Base * trt + Age + diag(Visit | subject)", 5, [2]),
    ("ergostool", "effort ~ Type + (1 | Subject)", 4, [1]),
    (
        "grouseticks",
        "TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION)",
        4,
        [1, 1, 1],
    ),
    (
        "ham",
        "Informed.liking ~ Product * Information * Gender + (1 | Product:Consumer)"
        " + (1 | Information:Consumer) + (1 | Consumer)",
        16,
        [1, 1, 1],
    ),
    ("insteval", "y ~ service + (1 | s) + (1 | d) + (1 | dept)", 2, [1, 1, 1]),
    ("insteval", "y ~ service + (1 | s) + (1 | d) + (1 | dept:service)", 2, [1, 1, 1]),
    ("machines", "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", 3, [1, 1]),
    ("machines", "score ~ Machine + (0 + Machine | Worker)", 3, [3]),
    ("machines", "score ~ Machine + (Machine | Worker)", 3, [3]),
    ("oats", "yield ~ nitro + Variety + (1 | Block/Variety)", 4, [1, 1]),
    ("oats", "yield ~ nitroF * Variety + (1 | Block/Variety)", 12, [1, 1]),
    ("orthodont", "distance ~ age * Sex + (age | Subject)", 4, [2]),
    ("orthodont", "distance ~ age * Sex + ar1(0 + age | Subject)", 4, [4]),
    ("orthodont", "distance ~ age * Sex + cs(0 + factor(age) | Subject)", 4, [4]),
    (
        "orthodont",
        "distance ~ age * Sex + (1 | Subject) + diag(0 + factor(age) | Subject)",
        4,
        [1, 4],
    ),
    ("orthodont", "distance ~ age * Sex + toep(age + 0 | Subject)", 4, [4]),
    ("orthodont", "distance ~ age * Sex + us(0 + factor(age) | Subject)", 4, [4]),
    (
        "owls",
        "SiblingNegotiation ~ FoodTreatment * SexParent + offset(logBrood) + (1 | Nest)",
        4,
        [1],
    ),
    ("oxboys", "height ~ age + I(age^2) + (age + I(age^2) | Subject)", 3, [3]),
    ("pastes", "strength ~ 1 + (1 | sample) + (1 | batch)", 1, [1, 1]),
    ("pastes", "strength ~ 1 + (1 | batch/cask)", 1, [1, 1]),
    ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", 1, [1, 1]),
    ("salamanders", "count ~ spp * mined + (1 | site)", 14, [1]),
    ("sleepstudy", "Reaction ~ Days + (Days | Subject)", 2, [2]),
    ("sleepstudy", "Reaction ~ Days + (Days || Subject)", 2, [2]),
    ("sleepstudy", "Reaction ~ Days + (0 + Days | Subject) + (1 | Subject)", 2, [1, 1]),
    ("sleepstudy", "log(Reaction) ~ Days + (Days | Subject)", 2, [2]),
    ("sleepstudy", "Reaction ~ poly(Days, 2) + (1 | Subject)", 3, [1]),
    ("sleepstudy", "Reaction ~ Days + I(Days^2) + (Days | Subject)", 3, [2]),
    ("sleepstudy", "Reaction ~ Days + cs(1 + Days | Subject)", 2, [2]),
    (
        "tvbo",
        "Coloursaturation ~ TVset * Picture + (1 | Assessor:TVset) + (1 | Assessor)",
        12,
        [1, 1],
    ),
    (
        "tvbo",
        "Sharpness ~ TVset + Picture + (1 | Assessor) + (1 | Assessor:TVset)"
        " + (1 | Assessor:Picture)",
        6,
        [1, 1, 1],
    ),
    ("verbagg", "Anger ~ Gender + btype + situ + (1 | id) + (1 | item)", 5, [1, 1]),
    ("verbagg", "Anger ~ (Gender + btype + situ)^2 + (1 | id) + (1 | item)", 10, [1, 1]),
]

# those that only other families or later structures can fit are read
READ = [
    "cbind(incidence, size - incidence) ~ period + (1 | herd)",
    "use ~ age + I(age^2) + urban + livch + (urban | district)",
    "use01 ~ age + urban * livch + (1 | district) + (0 + age | district)",
    "r2 ~ (Anger + Gender + btype + situ)^2 + (1 | id) + (1 | item)",
    "y ~ x + exp(pos + 0 | site)",
    "y ~ x + gau(pos + 0 | site)",
    "Reaction ~ time + ou(times + 0 | Subject)",
    "cbind(y_bb, size - y_bb) ~ x + trt + (1 | g)",
]


@pytest.mark.parametrize(("name", "formula", "n_fixed", "n_random"), FITS)
def test_columns(name, formula, n_fixed, n_random):
    columns = read_columns(datasets.load(name), parse_formula(formula).columns)
    design = build_design(formula, columns)
    assert design.X.shape[1] == n_fixed
    assert sorted(r.values.shape[1] for r in design.random) == sorted(n_random)
    if "temperature" not in formula and n_fixed:
        assert np.linalg.matrix_rank(design.X) == n_fixed


@pytest.mark.parametrize("formula", READ)
def test_read(formula):
    assert parse_formula(formula).random
