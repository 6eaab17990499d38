"""What follows a fit, step by step, and how this package takes it; `infer_one.R` takes them in R.

Each step gives one number that shows that both computed the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

REPLICATES = 1000


@dataclass(frozen=True, slots=True)
class Step:
    """`take(fit)` is timed; `aim` is how many times as fast as R it is to be."""

    case: str
    asks: str
    take: Callable[[Any], Any]
    answer: Callable[[Any], float]
    aim: float | None = None


def value(table: Any, term: str, column: str) -> float:
    rows = table[table["term"] == term]
    return float(rows[column].iloc[0])


def bootstrap(fit: Any) -> Any:
    return fit.bootstrap(REPLICATES, seed=1)


def of_bootstrap(bootstrap: Any) -> float:
    return value(bootstrap.table, "Days", "std_error")


def kenward_roger(fit: Any) -> Any:
    return fit.fixef(df="kenward-roger")


KENWARD_ROGER = "Kenward-Roger t table; answer: df of condition"
CROSSED = "partly_crossed/{}/{}/{}".format

STEPS = {
    "bootstrap": Step(
        "sleepstudy",
        f"{REPLICATES} parametric bootstrap refits; answer: standard error of Days",
        bootstrap,
        of_bootstrap,
        aim=40,
    ),
    "bootstrap_multicore": Step(
        "sleepstudy",
        "the same, R on as many processes as threads are given",
        bootstrap,
        of_bootstrap,
    ),
    "kenward_roger_500": Step(
        CROSSED(500, 50, 50), KENWARD_ROGER, kenward_roger, lambda t: value(t, "condition", "df")
    ),
    "kenward_roger_2000": Step(
        CROSSED(2000, 200, 80), KENWARD_ROGER, kenward_roger, lambda t: value(t, "condition", "df")
    ),
    "kenward_roger": Step(
        CROSSED(5000, 500, 100),
        KENWARD_ROGER,
        kenward_roger,
        lambda t: value(t, "condition", "df"),
        aim=100,
    ),
    "satterthwaite": Step(
        CROSSED(5000, 500, 100),
        "Satterthwaite t table; answer: df of condition",
        lambda fit: fit.fixef(df="satterthwaite"),
        lambda t: value(t, "condition", "df"),
    ),
    "satterthwaite_insteval": Step(
        "insteval",
        "Satterthwaite t table, to take less than the fit; answer: df of service",
        lambda fit: fit.fixef(df="satterthwaite"),
        lambda t: value(t, "service", "df"),
    ),
    "anova": Step(
        "oats",
        "type III table; answer: F of nitroF",
        lambda fit: fit.anova(type=3),
        lambda t: value(t, "nitroF", "statistic"),
    ),
    "profile": Step(
        "sleepstudy",
        "profile intervals of all parameters; answer: lower limit of Days",
        lambda fit: fit.confint(method="profile"),
        lambda t: value(t, "Days", "conf_low"),
        aim=20,
    ),
    "influence": Step(
        "sleepstudy",
        "each subject left out and refitted; answer: largest Cook's distance",
        lambda fit: fit.influence("Subject"),
        lambda i: float(i.cooks_distance.max()),
    ),
    "influence_crossed": Step(
        CROSSED(2000, 200, 80),
        "each of 80 items left out and refitted; answer: largest Cook's distance",
        lambda fit: fit.influence("item"),
        lambda i: float(i.cooks_distance.max()),
    ),
    "emmeans": Step(
        "oats",
        "marginal means with Tukey's pairs; answer: smallest t",
        lambda fit: fit.emmeans("nitroF").contrast("pairwise", adjust="tukey").table,
        lambda t: float(t["statistic"].min()),
    ),
    "exact_test": Step(
        "one_factor/2000/40",
        "exact restricted likelihood ratio test, R with 10,000 draws; answer: the statistic",
        lambda fit: fit.test_random(method="exact"),
        lambda t: float(t["statistic"].iloc[1]),
    ),
}
