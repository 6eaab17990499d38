"""Reference results of R packages, in our spelling: cases, data and tolerances.

The files in ``reference/cases`` were computed by R programs (named in each, with versions) on
public data sets. R's formulas and names are translated here: ``SexFemale`` is
``Sex[T.Female]``, ``(Intercept)`` is ``Intercept``, lme4's ``cask:batch`` made from
``batch/cask`` is ``batch:cask``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mixedeffects import families

REFERENCE = Path(__file__).parent / "reference"

# nlme writes fixed and random parts apart; glmmTMB's names of an ar1 term are of a factor, its
# positions those of a column numFactor(px, py)
REWRITTEN = {
    "machines_lme_compsymm_ml": "score ~ Machine + homcs(0 + Machine | Worker)",
    "cov_ar1_poisson_epil2": "y ~ Base * trt + Age + ar1(0 + period | subject)",
    "cov_exp_spatial": "y ~ x + exp(0 + px + py | site)",
    "cov_gau_spatial": "y ~ x + gau(0 + px + py | site)",
    "cov_ou_irregular": "Reaction ~ time + ou(time | Subject)",
}

FAMILIES = {"Gamma": "Gamma", "t": "StudentT", "inverse.gaussian": "InverseGaussian"} | {
    "gaussian": "Gaussian",
    "binomial": "Binomial",
    "betabinomial": "BetaBinomial",
    "beta": "Beta",
    "poisson": "Poisson",
    "nbinom1": "NegativeBinomial1",
    "nbinom2": "NegativeBinomial2",
    "genpois": "GeneralizedPoisson",
    "truncated_poisson": "TruncatedPoisson",
    "truncated_nbinom1": "TruncatedNegativeBinomial1",
    "truncated_nbinom2": "TruncatedNegativeBinomial2",
    "tweedie": "Tweedie",
    "cumulative": "Cumulative",
}


@lru_cache(maxsize=1)
def _raw() -> dict[str, dict[str, Any]]:
    files = sorted((REFERENCE / "cases").glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def cases(kind: str | None = None) -> tuple[str, ...]:
    """Ids of the cases of a kind, or of all.

    ``"lmm"`` (lme4), ``"glmmTMB"`` and ``"nlme"`` are Gaussian; ``"general"`` has the others,
    ``"quadrature"`` those with more than one node, ``"joint"`` those with none, ``"bare"`` those
    without a residual.
    """
    return tuple(id_ for id_, raw in _raw().items() if kind in (None, _kind(raw["model"])))


def _kind(model: dict[str, Any]) -> str:
    kind = model["kind"]
    if model.get("nAGQ", 1) > 1:
        return "quadrature"
    if model.get("nAGQ", 1) == 0:
        return "joint"
    if model.get("dispformula") == "~0":
        return "bare"
    plain = model.get("family", "gaussian") == "gaussian" and model.get("link") != "log"
    if kind in ("glmm", "clmm") or not plain or model.get("dispformula", "~1") != "~1":
        return "general"
    return kind


@lru_cache(maxsize=8)
def load_case(id_: str) -> Case:
    return Case(id_, _raw()[id_])


@lru_cache(maxsize=4)
def r_cases(topic: str) -> dict[str, Case]:
    """The cases of ``reference/r/<topic>.json``, by id."""
    stored = json.loads((REFERENCE / "r" / f"{topic}.json").read_text(encoding="utf-8"))
    return {id_: Case(id_, raw) for id_, raw in stored["cases"].items()}


@dataclass(frozen=True)
class Case:
    id: str
    raw: dict[str, Any]

    @property
    def results(self) -> dict[str, Any]:
        return self.raw["results"]

    @property
    def tolerances(self) -> dict[str, dict[str, Any]]:
        return self.raw["tolerances"]

    @property
    def reml(self) -> bool:
        return bool(self.raw["model"].get("REML", self.raw["model"].get("method") == "REML"))

    @property
    def weights(self) -> str | None:
        return self.raw["model"].get("weights")

    @property
    def offset(self) -> str | None:
        return self.raw["model"].get("offset")

    @property
    def objective(self) -> float:
        """-2 log-likelihood or REML criterion."""
        return -2 * self.results["loglik"]

    @property
    def family(self) -> Any:
        """Our family with its link and thresholds."""
        model = self.raw["model"]
        options = {"threshold": model["threshold"]} if "threshold" in model else {}
        return getattr(families, FAMILIES[model["family"]])(link=model["link"], **options)

    @property
    def others(self) -> dict[str, str]:
        """Formulas of dispersion and zero inflation."""
        model = self.raw["model"]
        found = {}
        if model.get("dispformula", "~1") != "~1":
            found["dispersion"] = model["dispformula"]
        if model.get("ziformula", "~0") != "~0":
            found["zero_inflation"] = model["ziformula"]
        return found

    @cached_property
    def factors(self) -> dict[str, dict[str, Any]]:
        """Categorical columns, longest name first so that prefixes match as R made them."""
        found = {k: v for k, v in self.raw["columns"].items() if v["type"] == "factor"}
        return dict(sorted(found.items(), key=lambda item: -len(item[0])))

    @cached_property
    def coding(self) -> dict[str, str]:
        """Factors of the fixed part whose contrasts are not treatment contrasts."""
        contrasts = self.raw["model"].get("contrasts")
        chosen = dict(contrasts) if isinstance(contrasts, dict) else {}
        left = self.raw["model"].get("formula", "").split("~")[0]
        for name, column in self.factors.items():
            if column.get("ordered") and name not in left:
                chosen.setdefault(name, "contr.poly")
        return chosen

    @cached_property
    def formula(self) -> str:
        """R's formula, with the contrasts written into it."""
        text = REWRITTEN.get(self.id) or self.raw["model"]["formula"]
        pieces = re.split(r"(\([^()|]*\|[^()]*\))", text)
        for i in range(0, len(pieces), 2):  # the odd pieces are random terms
            for name, contrast in self.coding.items():
                pieces[i] = re.sub(rf"\b{re.escape(name)}\b", f"C({name}, {contrast})", pieces[i])
        return "".join(pieces)

    @cached_property
    def data(self) -> pd.DataFrame:
        """The data with the reference's order of levels declared."""
        table = _read(Path(self.raw["dataset"]).name.split(".")[0])
        return self.with_levels(table)

    @cached_property
    def used(self) -> pd.DataFrame:
        """The rows that R used, in order."""
        names = [name for name in self.data.columns if re.search(rf"\b{name}\b", self.formula)]
        return self.data.dropna(subset=names)

    @cached_property
    def new_data(self) -> pd.DataFrame:
        """Rows to predict, with levels that the data do not have."""
        newdata = {k: np.atleast_1d(v) for k, v in self.results["predict_new"]["newdata"].items()}
        return pd.DataFrame(newdata)

    def with_levels(self, table: pd.DataFrame) -> pd.DataFrame:
        columns = {}
        for name, column in self.factors.items():
            text = table[name].astype(object).map(str, na_action="ignore")
            levels = column.get("levels") or sorted(text.dropna().unique())
            columns[name] = pd.Categorical(text, levels, ordered=bool(column.get("ordered")))
        return table.assign(**columns)

    def term(self, name: str, *, full: bool = False) -> str:
        """Our name of a coefficient; ``full`` where every level has its own column."""
        return ":".join(self._component(part, full) for part in name.split(":"))

    def terms(self, names: list[str]) -> list[str]:
        """Our names of the columns of one random term."""
        return [self.term(name, full="(Intercept)" not in names) for name in names]

    def group(self, name: str) -> str:
        """Our name of a grouping variable: ``a/b`` makes a and a:b here, a and b:a in lme4."""
        return self._nested.get(name, name)

    def level(self, group: str, level: str) -> str:
        return ":".join(reversed(level.split(":"))) if group in self._nested else level

    @cached_property
    def _nested(self) -> dict[str, str]:
        chains = re.findall(r"\|\s*(\w+)\s*/\s*(\w+)\s*\)", self.formula)
        return {f"{inner}:{outer}": f"{outer}:{inner}" for outer, inner in chains}

    def _component(self, part: str, full: bool) -> str:
        if part == "(Intercept)":
            return "Intercept"
        for name, column in self.factors.items():
            rest = part.removeprefix(name)
            contrast = self.coding.get(name)
            if not part.startswith(name) or not rest:
                continue
            if contrast == "contr.poly" and rest[0] in ".^":
                return f"C({name}, contr.poly)[{rest}]"
            if contrast == "contr.sum" and rest.isdigit():
                return f"C({name}, contr.sum)[S.{column['levels'][int(rest) - 1]}]"
            if rest in column["levels"]:
                return f"{name}[{rest}]" if full else f"{name}[T.{rest}]"
        if polynomial := re.fullmatch(r"(poly\(.*\))(\d+)", part):
            return f"{polynomial[1]}[{polynomial[2]}]"
        return re.sub(r"\s*\^\s*", " ** ", part)


def _read(name: str) -> pd.DataFrame:
    for folder in ("data", "r/data"):
        own = REFERENCE / folder / f"{name}.csv"
        if own.exists():
            return pd.read_csv(own)
    from mixedeffects.data import datasets

    return datasets.load(name)


def assert_close(value, reference, tolerance, *, se=None, scale=None, what="") -> None:
    """Check |value - reference| ≤ atol + rtol |reference| + se_frac SE, element by element.

    ``scale`` takes the place of |reference| (for a covariance matrix, √(v_ii v_jj)); a reference
    that R could not compute (null) passes.
    """
    value, reference = np.asarray(value, dtype=float), np.asarray(reference, dtype=float)
    assert value.shape == reference.shape, f"{what}: {value.shape}, not {reference.shape}"
    scale = np.abs(reference) if scale is None else np.asarray(scale, dtype=float)
    allowed = tolerance.get("atol", 0) + tolerance.get("rtol", 0) * scale
    if se is not None:
        allowed = allowed + tolerance.get("se_frac", 0) * np.nan_to_num(np.asarray(se, float))
    excess = np.abs(value - reference) - allowed
    bad = ~((excess <= 0) | np.isnan(reference))
    if np.any(bad):
        worst = np.argmax(np.where(bad, np.nan_to_num(excess, nan=np.inf), -np.inf))
        raise AssertionError(
            f"{what or 'value'}: {np.sum(bad)} of {bad.size} beyond tolerance; worst "
            f"{value.ravel()[worst]!r}, reference {reference.ravel()[worst]!r}, allowed "
            f"{np.broadcast_to(allowed, value.shape).ravel()[worst]:.3g}"
        )
