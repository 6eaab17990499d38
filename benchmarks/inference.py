"""Times what follows a fit, beside lme4 and the R packages around it.

Prints a table of each step:
    python benchmarks/inference.py [--timeout SECONDS] [STEP ...]

Both are started on a step, then called once cold and `--calls` times warm, in turn. Each call has
its own fit, whose time is shown beside and not counted.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from cases import find_case
from compare import duration, machine
from steps import STEPS
from workers import HERE, Settings, Worker, add_options, csv_of, settings_of, workers

COLUMNS = (
    f"{'tool':13}{'fit':>10}{'first':>10}{'min':>10}{'median':>10}{'ratio':>8}{'answer':>16}  note"
)


def programs(name: str, settings: Settings) -> dict[str, list[str]]:
    criterion = "reml" if settings.reml else "ml"
    case = find_case(STEPS[name].case)
    found = {}
    for tool, interpreter in settings.interpreters.items():
        if tool == "lme4":
            script, threads = str(HERE / "infer_one.R"), str(settings.threads)
            data = str(csv_of(case.name))
            found[tool] = [interpreter, script, data, case.formula, criterion, name, threads]
        else:
            found[tool] = [interpreter, str(HERE / "infer_one.py"), name, criterion]
    return found


def measure(name: str, settings: Settings, calls: int, once: float) -> list[dict[str, Any]]:
    """A record for each tool; one whose first call takes longer than `once` is not repeated."""
    with workers(programs(name, settings), settings) as running:
        for worker in running:
            worker.ask()
        for _ in range(calls):
            for worker in running:
                if worker.calls and worker.calls[0]["seconds"] <= once:
                    worker.ask()
        return [record(name, worker) for worker in running]


def record(name: str, worker: Worker) -> dict[str, Any]:
    seconds = [call["seconds"] for call in worker.calls]
    warm = seconds[1:] or seconds
    return {
        "step": name,
        "case": STEPS[name].case,
        "tool": worker.tool,
        "fit": min((call["fit_seconds"] for call in worker.calls), default=None),
        "first": seconds[0] if seconds else None,
        "min": min(warm, default=None),
        "median": statistics.median(warm) if warm else None,
        "warm_calls": len(seconds[1:]),
        "answer": worker.calls[-1]["answer"] if worker.calls else None,
        "note": worker.failure or ("" if seconds[1:] else "first call only"),
    }


def row(entry: dict[str, Any], unit: float | None) -> str:
    ratio = f"{entry['min'] / unit:.4g}" if unit and entry["min"] else "-"
    answer = "-" if entry["answer"] is None else f"{entry['answer']:.7g}"
    return (
        f"{entry['tool']:13}{duration(entry['fit']):>10}{duration(entry['first']):>10}"
        f"{duration(entry['min']):>10}{duration(entry['median']):>10}{ratio:>8}{answer:>16}"
        f"  {entry['note']}"
    )


def table(entries: list[dict[str, Any]]) -> str:
    """The step as text; ratios are of the least times, to the first tool that has one."""
    step = STEPS[entries[0]["step"]]
    unit = next((entry["min"] for entry in entries if entry["min"]), None)
    aim = f"; aim {step.aim:g} times" if step.aim else ""
    title = f"{entries[0]['step']} ({find_case(step.case).formula}): {step.asks}{aim}"
    return "\n".join([title, COLUMNS, *(row(entry, unit) for entry in entries), ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("steps", nargs="*", help=f"default: all of {', '.join(STEPS)}")
    parser.add_argument("--calls", type=int, default=5, help="warm calls")
    parser.add_argument("--once", type=float, default=10, help="longer first calls: no repeat")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "inference.json")
    add_options(parser, "mixedeffects,lme4")
    options = parser.parse_args()
    unknown = [name for name in options.steps if name not in STEPS]
    if unknown:
        sys.exit(f"no step {', '.join(unknown)}; there are {', '.join(STEPS)}")
    settings = settings_of(options)
    entries: list[dict[str, Any]] = []
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for name in options.steps or STEPS:
        of_step = measure(name, settings, options.calls, options.once)
        print(table(of_step), flush=True)
        entries += of_step
        content = {"machine": machine(), "threads": settings.threads, "entries": entries}
        options.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
