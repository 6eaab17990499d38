"""Effective draws per second of me.sample beside bambi (nutpie) and rstanarm, side by side.

    python benchmarks/posteriors.py [--cases sleepstudy insteval verbagg] [--runs 2] [--json FILE]

Effective draws are ArviZ's bulk size of the worst among fixed effects, standard deviations and
correlations; seconds are those of a whole call after imports, the second one of a process. The
rivals need an interpreter that has bambi in $BAMBI_PYTHON, and R with rstanarm and posterior;
what is missing is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mixedeffects as me

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Case:
    """A model in the spelling of R, and how many chains and draws are asked for."""

    data: str
    formula: str
    family: str
    chains: int
    draws: int


CASES = {
    "sleepstudy": Case("sleepstudy", "Reaction ~ Days + (Days | Subject)", "gaussian", 4, 1000),
    "insteval": Case(
        "insteval", "y ~ 1 + service + (1 | s) + (1 | d) + (1 | dept)", "gaussian", 2, 1000
    ),
    "verbagg": Case(
        "verbagg",
        "r2n ~ (Anger + Gender + btype + situ)^2 + (1 | id) + (1 | item)",
        "binomial",
        2,
        1000,
    ),
}


def command(tool: str, case: Case, file: Path) -> list[str] | None:
    """How a tool is run on a case, or None where it is not here."""
    arguments = [case.formula, case.family, str(case.chains), str(case.draws), str(file)]
    if tool == "rstanarm":
        script = [shutil.which("Rscript"), str(HERE / "posterior_one.R")]
        return [*script, *arguments] if script[0] else None
    python = sys.executable if tool == "mixedeffects" else os.environ.get("BAMBI_PYTHON")
    return [python, str(HERE / "posterior_one.py"), tool, *arguments] if python else None


def measure(tool: str, case: Case, file: Path, limit: float) -> dict[str, float | str] | None:
    line = command(tool, case, file)
    if line is None:
        return None
    environment = dict(os.environ)
    if tool == "bambi":
        environment.pop("PYTHONPATH", None)
    try:
        done = subprocess.run(
            line, capture_output=True, text=True, env=environment, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return {"tool": tool, "failed": f"more than {limit:g} s"}
    if done.returncode:
        return {"tool": tool, "failed": done.stderr.strip()[-300:]}
    return {"tool": tool, **json.loads(done.stdout.strip().splitlines()[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", default=list(CASES))
    parser.add_argument("--tools", nargs="*", default=["mixedeffects", "bambi", "rstanarm"])
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--limit", type=float, default=3600.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.cases:
            case = CASES[name]
            data = me.datasets.load(case.data)
            if name == "verbagg":
                data = data.assign(r2n=(data["r2"] == "Y").astype(int))
            data.to_csv(file := Path(folder) / f"{name}.csv", index=False)
            for run in range(options.runs):
                for tool in options.tools:
                    found = measure(tool, case, file, options.limit)
                    if found is not None:
                        results.append({"case": name, "run": run, **found})
                        print(json.dumps(results[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
