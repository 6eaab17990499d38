"""Time and memory against rows and against levels: a table, and a plot.

    python benchmarks/growth.py --tools mixedeffects --interpreter lme4=PATH ...

Writes growth.json, growth.md and growth.png under `--out`. Linear growth is a slope of one in the
plot; the table gives the slope between the last two sizes of each series.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

from matplotlib import pyplot

from compare import duration, machine, measure
from workers import HERE, Settings, add_options, settings_of

ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
SERIES: dict[str, tuple[str, dict[int, str]]] = {
    "one factor, 1,000 levels": ("rows", {n: f"one_factor/{n}/1000" for n in ROWS}),
    "one factor with slopes, 10 rows a level": (
        "rows",
        {n: f"slopes/{n}/{n // 10}" for n in ROWS},
    ),
    "nested four deep, 5 rows a leaf": ("rows", {n: f"nested/{n}" for n in ROWS}),
    "one factor, 2,000,000 rows": (
        "levels",
        {levels: f"one_factor/2000000/{levels}" for levels in (10, 1_000, 100_000, 1_000_000)},
    ),
}
Point = dict[str, Any]


def points_of(title: str, settings: Settings, calls: int, largest: int) -> list[Point]:
    """A record of each size and package; a package that failed at a size is not asked for more."""
    axis, cases = SERIES[title]
    points: list[Point] = []
    alive = dict(settings.interpreters)
    for size, case in cases.items():
        if (axis == "rows" and size > largest) or not alive:
            break
        able = Settings(
            alive, settings.reml, settings.threads, settings.timeout, settings.memory_gb
        )
        for entry in measure(case, able, calls, once=settings.timeout / 4):
            points.append({"series": title, "axis": axis, "size": size, **entry})
            print(table_row(points[-1]), flush=True)
            if entry["min"] is None:
                alive.pop(entry["tool"])
    return points


def table_row(point: Point) -> str:
    base, peak = point.get("rss_import"), point.get("rss_peak")
    memory = f"{peak - base:.0f}" if peak and base else "-"
    data = f"{point['rss_data'] - base:.0f}" if peak and base else "-"
    cells = (
        point["series"],
        f"{point['size']:,} {point['axis']}",
        point["tool"],
        duration(point["min"]),
        memory,
        data,
        str(point["evaluations"] or "-"),
        point["note"],
    )
    return "| " + " | ".join(cells) + " |"


def last_slope(points: list[Point], value: str) -> float | None:
    """Slope on logarithmic axes between the last two sizes."""
    known = [(p["size"], p[value]) for p in points if p.get(value)]
    if len(known) < 2:
        return None
    (x0, y0), (x1, y1) = known[-2:]
    return math.log(y1 / y0) / math.log(x1 / x0)


def groups(points: list[Point]) -> dict[tuple[str, str], list[Point]]:
    found: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        found.setdefault((point["series"], point["tool"]), []).append(point)
    return found


def markdown(points: list[Point]) -> str:
    head = "| model | size | tool | time | MB over import | of it data | evaluations | note |"
    lines = [head, "|" + "---|" * 8, *map(table_row, points), ""]
    for (series, tool), members in groups(points).items():
        slope = last_slope(members, "min")
        if slope is not None:
            lines.append(f"- {series}, {tool}: time grows as size^{slope:.2f} at the end")
    return "\n".join(lines) + "\n"


def plot(points: list[Point], path: Path) -> None:
    titles = list(dict.fromkeys(point["series"] for point in points))
    size = (4 * len(titles), 7)
    figure, axes = pyplot.subplots(2, len(titles), figsize=size, squeeze=False, sharey="row")
    for (series, tool), members in groups(points).items():
        column = titles.index(series)
        fitted = [point for point in members if point["min"]]
        sizes = [point["size"] for point in fitted]
        axes[0, column].loglog(sizes, [p["min"] for p in fitted], marker="o", label=tool)
        memory = [p.get("rss_peak", math.nan) - p.get("rss_import", math.nan) for p in fitted]
        axes[1, column].loglog(sizes, memory, marker="o", label=tool)
        axes[0, column].set_title(series, fontsize=9)
        axes[1, column].set_xlabel(members[0]["axis"])
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("MB over the imported package")
    axes[0, 0].legend()
    for panel in axes.flat:
        panel.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=2, help="warm calls")
    parser.add_argument("--largest", type=int, default=ROWS[-1], help="most rows")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    add_options(parser, tools="mixedeffects")
    options = parser.parse_args()
    settings = settings_of(options)
    points: list[Point] = []
    options.out.mkdir(parents=True, exist_ok=True)
    for title in SERIES:
        points += points_of(title, settings, options.calls, options.largest)
        content = {"machine": machine(), "threads": settings.threads, "points": points}
        (options.out / "growth.json").write_text(json.dumps(content, indent=1) + "\n")
        (options.out / "growth.md").write_text(markdown(points))
    plot(points, options.out / "growth.png")


if __name__ == "__main__":
    main()
