"""What a newcomer waits for: building, importing, and the first summary, each in a new process.

python benchmarks/first_use.py [--build] [--interpreter glmm=PATH ...]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cases import dataset_path
from compare import duration, machine
from workers import HERE, add_options, settings_of

REPOSITORY = HERE.parent
SLEEP = "import pandas as pd; d = pd.read_csv('{file}'); f = 'Reaction ~ Days + (Days | Subject)'; "
# import alone, then everything up to the printed summary
SNIPPETS = {
    "mixedeffects": (
        "import mixedeffects",
        (
            "import mixedeffects as me; d = me.datasets.load('sleepstudy'); "
            "print(me.fit('Reaction ~ Days + (Days | Subject)', d).summary())"
        ),
    ),
    "glmm": ("import glmm", SLEEP + "import glmm; print(glmm.fit(d, f).summary())"),
    "mixedlm": (
        "import mixedlm",
        SLEEP + "import mixedlm; print(mixedlm.lmer(f, d).summary())",
    ),
    "statsmodels": (
        "import statsmodels.formula.api",
        SLEEP + "import statsmodels.formula.api as smf; "
        "print(smf.mixedlm('Reaction ~ Days', d, groups='Subject', re_formula='~Days')"
        ".fit().summary())",
    ),
    "lme4": (
        "suppressMessages(library(lme4))",
        (
            "suppressMessages(library(lme4)); "
            "print(summary(lmer(Reaction ~ Days + (Days | Subject), sleepstudy)))"
        ),
    ),
}


def seconds_of(command: list[str]) -> float:
    """Wall time of a process; it must end well."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return time.perf_counter() - start


def repeated(command: list[str], times: int) -> dict[str, float]:
    seconds_of(command)  # bytecode and disk cache
    seconds = [seconds_of(command) for _ in range(times)]
    return {"min": min(seconds), "median": statistics.median(seconds)}


def build() -> float:
    """Seconds to install the repository into an empty virtual environment, from source."""
    with tempfile.TemporaryDirectory(prefix="benchmark-build-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "install", "-q", "--no-cache-dir"]
        return seconds_of([*pip, str(REPOSITORY)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--build", action="store_true", help="also time a build from source")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "first_use.json")
    add_options(parser, tools=",".join(SNIPPETS))
    options = parser.parse_args()
    interpreters = settings_of(options).interpreters
    file = dataset_path("sleepstudy")
    found: dict[str, dict[str, dict[str, float]]] = {}
    for tool, program in interpreters.items():
        flag = "-e" if tool == "lme4" else "-c"
        empty = repeated([program, flag, "1"], options.times)
        alone, whole = (
            repeated([program, flag, code.replace("{file}", str(file))], options.times)
            for code in SNIPPETS[tool]
        )
        found[tool] = {"empty process": empty, "import": alone, "summary": whole}
        line = ", ".join(f"{what} {duration(t['min'])}" for what, t in found[tool].items())
        print(f"{tool:13}{line}  (least of {options.times} whole processes)", flush=True)
    seconds = build() if options.build else None
    if seconds is not None:
        print(f"build from source into an empty environment: {duration(seconds)}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(), "processes": found, "build_seconds": seconds}
    options.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
