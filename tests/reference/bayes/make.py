"""Long runs of plain PyMC models, written from the textbook form, as references for me.sample.

Needs pymc, nutpie, pandas and arviz; writes posteriors.json beside itself:
    python tests/reference/bayes/make.py
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import arviz as az
import numpy as np
import nutpie
import pandas as pd
import pymc as pm

HERE = Path(__file__).parent
DATA = HERE.parents[2] / "src" / "mixedeffects" / "data" / "files"
CHAINS, DRAWS, TUNE, SEED = 4, 10_000, 2_000, 20261122
FIRST_IDS = 80


def read(name):
    return pd.read_csv(DATA / f"{name}.csv.gz")


def deviations(name, scale):
    # in 8-bit integers, which PyTensor makes of small constants, 50² overflows
    return pm.HalfStudentT(name, nu=3.0, sigma=float(scale))


def intercepts(name, codes, sd):
    """Random intercepts, not centred."""
    return pm.Normal(f"raw_{name}", shape=int(codes.max()) + 1)[codes] * sd


def sleepstudy():
    data = read("sleepstudy")
    codes, _ = pd.factorize(data.Subject, sort=True)
    days = data.Days.to_numpy(float)
    intercept, slope = pm.Normal("Intercept", 250.0, 100.0), pm.Normal("Days", 0.0, 20.0)
    sd0 = deviations("sd(Intercept | Subject)", 50)
    sd1 = deviations("sd(Days | Subject)", 20)
    rho = pm.Uniform("cor(Subject)", -1.0, 1.0)
    pm.Potential("lkj", pm.math.log(1 - rho**2))  # LKJ(2) of two
    z = pm.Normal("z", shape=(int(codes.max()) + 1, 2))
    b0 = sd0 * z[:, 0]
    b1 = sd1 * (rho * z[:, 0] + pm.math.sqrt(1 - rho**2) * z[:, 1])
    sigma = deviations("sigma", 50)
    mu = intercept + b0[codes] + (slope + b1[codes]) * days
    pm.Normal("y", mu, sigma, observed=data.Reaction)
    pm.Deterministic("b(308)", b0[0])
    pm.Deterministic("b(309)", b0[1])


def penicillin():
    data = read("penicillin")
    plate, _ = pd.factorize(data.plate, sort=True)
    sample, _ = pd.factorize(data["sample"], sort=True)
    mu = pm.Normal("Intercept", 23.0, 5.0)
    mu = mu + intercepts("plate", plate, deviations("sd(plate)", 2))
    mu = mu + intercepts("sample", sample, deviations("sd(sample)", 2))
    pm.Normal("y", mu, pm.Exponential("sigma", 1.0), observed=data.diameter)


def cbpp():
    data = read("cbpp")
    herd, _ = pd.factorize(data.herd, sort=True)
    eta = pm.Normal("Intercept", 0.0, 2.5)
    for period in (2, 3, 4):
        coefficient = pm.Normal(f"period[T.{period}]", 0.0, 2.5)
        eta = eta + coefficient * (data.period == period).to_numpy(float)
    eta = eta + intercepts("herd", herd, deviations("sd(herd)", 2.5))
    pm.Binomial("y", n=data["size"], logit_p=eta, observed=data.incidence)


def verbagg():
    data = read("verbagg")
    data = data[data.id <= FIRST_IDS]
    who, _ = pd.factorize(data.id)
    item, _ = pd.factorize(data.item)
    eta = pm.Normal("Intercept", 0.0, 2.5)
    eta = eta + pm.Normal("Anger", 0.0, 0.5) * data.Anger.to_numpy(float)
    eta = eta + pm.Normal("Gender[T.M]", 0.0, 2.5) * (data.Gender == "M").to_numpy(float)
    eta = eta + intercepts("id", who, deviations("sd(id)", 2.5))
    eta = eta + intercepts("item", item, deviations("sd(item)", 2.5))
    pm.Bernoulli("y", logit_p=eta, observed=(data.r2 == "Y").to_numpy(int))


def epil2():
    data = read("epil2")
    subject, _ = pd.factorize(data.subject)
    base = data.Base.to_numpy(float)
    eta = pm.Normal("Intercept", 0.0, 2.5) + pm.Normal("Base", 0.0, 2.5) * base
    eta = eta + pm.Normal("trt[T.progabide]", 0.0, 2.5) * (data.trt == "progabide").to_numpy(float)
    eta = eta + intercepts("subject", subject, deviations("sd(subject)", 1))
    size = pm.Gamma("sigma", 2.0, 0.2)  # variance mu + mu²/sigma
    pm.NegativeBinomial("y", mu=pm.math.exp(eta), alpha=size, observed=data.y)


def wine():
    data = read("wine")
    judge, _ = pd.factorize(data.judge)
    eta = pm.Normal("temp[T.warm]", 0.0, 2.5) * (data.temp == "warm").to_numpy(float)
    eta = eta + pm.Normal("contact[T.yes]", 0.0, 2.5) * (data.contact == "yes").to_numpy(float)
    eta = eta + intercepts("judge", judge, deviations("sd(judge)", 2.5))
    cuts = pm.Normal(
        "cuts",
        0.0,
        5.0,
        shape=4,
        transform=pm.distributions.transforms.ordered,
        initval=np.array([-2.0, -0.5, 0.5, 2.0]),
    )
    for k in range(4):
        pm.Deterministic(f"{k + 1}|{k + 2}", cuts[k])
    pm.OrderedLogistic(
        "y", eta=eta, cutpoints=cuts, compute_p=False, observed=data.rating.to_numpy(int) - 1
    )


MODELS = (sleepstudy, penicillin, cbpp, verbagg, epil2, wine)
HIDDEN = ("raw_", "z", "cuts")


def summaries(trace):
    kept = [
        name
        for name in trace.posterior.data_vars
        if not name.startswith(HIDDEN) and name[-2:] != "__"
    ]
    posterior = trace.posterior[kept]
    dims = ("chain", "draw")
    columns = {
        "mean": posterior.mean(dims),
        "sd": posterior.std(dims),
        "q05": posterior.quantile(0.05, dims),
        "q95": posterior.quantile(0.95, dims),
        "ess": az.ess(posterior),
        "r_hat": az.rhat(posterior),
        "mcse_mean": posterior.std(dims) / az.ess(posterior, method="mean") ** 0.5,
        "mcse_sd": posterior.std(dims) / (2 * az.ess(posterior, method="sd")) ** 0.5,
        "mcse_q05": az.mcse(posterior, method="quantile", prob=0.05),
        "mcse_q95": az.mcse(posterior, method="quantile", prob=0.95),
    }
    return {
        name: {column: float(f"{values[name].item():.8g}") for column, values in columns.items()}
        for name in kept
    }


def main():
    result = {
        "versions": {p: version(p) for p in ("pymc", "nutpie", "arviz")},
        "chains": CHAINS,
        "draws": DRAWS,
        "posteriors": {},
    }
    for model in MODELS:
        with pm.Model() as built:
            model()
        trace = nutpie.sample(
            nutpie.compile_pymc_model(built),
            draws=DRAWS,
            tune=TUNE,
            chains=CHAINS,
            cores=2,
            seed=SEED,
            target_accept=0.95,
            progress_bar=False,
        )
        divergences = int(trace.sample_stats.diverging.sum())
        result["posteriors"][model.__name__] = {
            "divergences": divergences,
            "parameters": summaries(trace),
        }
        print(model.__name__, divergences, file=sys.stderr)
    (HERE / "posteriors.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
