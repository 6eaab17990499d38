"""Times the packages side by side, call by call in turn, and prints a table of each case.

    python benchmarks/compare.py --interpreter glmm=PATH ... [CASE ...]

All packages of a case are started, then called once cold and `--calls` times warm, in turn, so
that a busy moment of the machine meets them all. The times are of the warm calls.
"""

import argparse
import json
import platform
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cases import CASES, find_case
from workers import HERE, Settings, Worker, add_options, commands, settings_of, workers

COLUMNS = (
    f"{'tool':13}{'first':>10}{'min':>10}{'median':>10}{'ratio':>8}{'design':>9}"
    f"{'evals':>9}{'log-likelihood':>18}{'import MB':>11}{'fit MB':>8}  note"
)


def measure(case_name: str, settings: Settings, calls: int, once: float) -> list[dict[str, Any]]:
    """A record for each package; one whose first call takes longer than `once` is not repeated."""
    with workers(commands(case_name, settings), settings) as running:
        for worker in running:
            worker.ask()
        for _ in range(calls):
            for worker in running:
                if worker.calls and worker.calls[0]["seconds"] <= once:
                    worker.ask()
    return [record(case_name, worker, settings.reml) for worker in running]


def record(case_name: str, worker: Worker, reml: bool) -> dict[str, Any]:
    seconds = [call["seconds"] for call in worker.calls]
    warm = seconds[1:] or seconds
    last = worker.calls[-1] if worker.calls else {}
    return {
        "case": case_name,
        "formula": find_case(case_name).formula,
        "tool": worker.tool,
        "reml": reml,
        "first": seconds[0] if seconds else None,
        "min": min(warm, default=None),
        "median": statistics.median(warm) if warm else None,
        "warm_calls": len(seconds[1:]),
        "loglik": last.get("loglik"),
        "evaluations": last.get("evaluations"),
        "note": worker.failure or last.get("note", ""),
        **worker.memory,
    }


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def megabytes(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def row(entry: dict[str, Any], unit: float | None) -> str:
    ratio = f"{entry['min'] / unit:.3g}" if unit and entry["min"] else "-"
    loglik = f"{entry['loglik']:.4f}" if entry["loglik"] is not None else "-"
    peak, base = entry.get("rss_peak"), entry.get("rss_import")
    note = entry["note"] or ("" if entry["warm_calls"] else "first call only")
    return (
        f"{entry['tool']:13}{duration(entry['first']):>10}{duration(entry['min']):>10}"
        f"{duration(entry['median']):>10}{ratio:>8}{duration(entry.get('design_seconds')):>9}"
        f"{entry['evaluations'] or '-':>9}{loglik:>18}"
        f"{megabytes(base):>11}{megabytes(peak and base and peak - base):>8}  {note}"
    )


def table(entries: list[dict[str, Any]]) -> str:
    """The case as text; ratios are of the least times, to the first package that has one."""
    unit = next((entry["min"] for entry in entries if entry["min"]), None)
    title = f"{entries[0]['case']}: {entries[0]['formula']}"
    return "\n".join([title, COLUMNS, *(row(entry, unit) for entry in entries), ""])


def machine() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    return {
        "processor": model,
        "system": platform.platform(),
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=f"default: all of {', '.join(CASES)}")
    parser.add_argument("--calls", type=int, default=5, help="warm calls")
    parser.add_argument("--once", type=float, default=20, help="longer first calls: no repeat")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "compare.json")
    add_options(parser)
    options = parser.parse_args()
    settings = settings_of(options)
    if not settings.interpreters:
        sys.exit("no tool to run")
    entries: list[dict[str, Any]] = []
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for name in options.cases or CASES:
        of_case = measure(name, settings, options.calls, options.once)
        print(table(of_case), flush=True)
        entries += of_case
        content = {
            "machine": machine(),
            "threads": settings.threads,
            "entries": entries,
        }
        options.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
