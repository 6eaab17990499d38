"""One posterior by one Python package: seconds of the second call, and its effective draws.

posterior_one.py TOOL FORMULA FAMILY CHAINS DRAWS FILE
"""

import json
import sys
import time
import warnings
from importlib import import_module

import pandas as pd

FACTORS = {"Subject", "s", "d", "dept", "service", "id", "item", "Gender", "btype", "situ"}


def by_mixedeffects(formula, family, chains, draws, data):
    import mixedeffects as me

    def sample():
        return me.sample(
            formula, data, family=family, chains=chains, draws=draws, seed=1, progress=False
        )

    def effective(post):
        sizes = [*post.fixef()["ess_bulk"], *post.varcorr()["ess_bulk"]]
        return min(float(size) for size in sizes), post.way

    return sample, effective


def by_bambi(formula, family, chains, draws, data):
    import arviz as az
    import bambi as bmb

    formula = formula.replace("^2", "**2")

    def sample():
        model = bmb.Model(formula, data, family="bernoulli" if family == "binomial" else family)
        return model.fit(
            draws=draws, chains=chains, random_seed=1, inference_method="nutpie", progressbar=False
        )

    def effective(trace):
        names = [n for n in trace.posterior.data_vars if "|" not in n or n.endswith("_sigma")]
        sizes = az.ess(trace.posterior[names])
        return min(float(sizes[n].min()) for n in names), "nutpie"

    return sample, effective


def main():
    tool, formula, family, chains, draws, file = sys.argv[1:]
    warnings.simplefilter("ignore")
    data = pd.read_csv(file)
    for name in FACTORS & set(data):
        data[name] = data[name].astype("category")
    makers = {"mixedeffects": by_mixedeffects, "bambi": by_bambi}
    sample, effective = makers[tool](formula, family, int(chains), int(draws), data)
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        result = sample()
        seconds.append(time.perf_counter() - began)
    size, way = effective(result)
    told = {"version": import_module(tool).__version__, "first": seconds[0], "seconds": seconds[1]}
    print(json.dumps({**told, "effective": size, "per_second": size / seconds[1], "way": way}))


if __name__ == "__main__":
    main()
