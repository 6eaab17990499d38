"""Makes the pictures of plots.md: python docs/images/make.py."""

from pathlib import Path

import matplotlib as mpl

import mixedeffects as me

FOLDER = Path(__file__).parent


def main() -> None:
    mpl.use("agg")
    fit = me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))
    oats = me.fit("yield ~ Variety * nitroF + (1 | Block/Variety)", me.datasets.load("oats"))
    growth = me.fit("distance ~ age * Sex + (age | Subject)", me.datasets.load("orthodont"))
    post = me.sample("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"), seed=1)
    figures = {
        "panel": fit.plot(),
        "groups": fit.plot.groups(),
        "shrinkage": fit.plot.shrinkage().figure,
        "simulated_residuals": fit.plot.simulated_residuals(n=99, seed=1, group="Subject"),
        "means": oats.plot.means("nitroF", by="Variety").figure,
        "predictions": growth.plot.predictions("age", by="Sex").figure,
        "posterior": post.plot(),
    }
    for name, figure in figures.items():
        figure.savefig(FOLDER / f"{name}.png", dpi=80, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
