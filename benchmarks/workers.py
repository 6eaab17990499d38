"""One process for each package, asked for one call at a time through a pipe."""

import argparse
import json
import os
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from cases import find_case

HERE = Path(__file__).parent
NAMES = (
    "mixedeffects",
    "lme4",
    "glmmTMB",
    "glmm",
    "glmm_plain",
    "mixedlm",
    "statsmodels",
    "gpboost",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Which interpreters exist and how the workers run."""

    interpreters: dict[str, str]
    reml: bool
    threads: int
    timeout: float
    memory_gb: float


def add_options(parser: argparse.ArgumentParser, tools: str = ",".join(NAMES)) -> None:
    parser.add_argument("--tools", default=tools, help="comma-separated; the first is the unit")
    parser.add_argument(
        "--interpreter",
        action="append",
        default=[],
        metavar="TOOL=PATH",
        help="the Python (lme4: Rscript) that holds the tool; also BENCHMARK_<TOOL>",
    )
    parser.add_argument("--ml", action="store_true", help="maximum likelihood instead of REML")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=120, help="seconds for one call")
    parser.add_argument("--memory-gb", type=float, default=10, help="address space of a worker")


def settings_of(options: argparse.Namespace) -> Settings:
    """Interpreters from the options, else the environment, else where they are by default."""
    rscript = shutil.which("Rscript")
    defaults = {"mixedeffects": sys.executable, "lme4": rscript, "glmmTMB": rscript}
    given = dict(pair.split("=", 1) for pair in options.interpreter)
    found = {}
    for name in options.tools.split(","):
        home = name.removesuffix("_plain")
        variable = os.environ.get(f"BENCHMARK_{home.upper()}")
        path = given.get(home) or variable or defaults.get(home)
        if path:
            found[name] = path
        else:
            print(f"{name}: no interpreter given, left out", file=sys.stderr)
    return Settings(found, not options.ml, options.threads, options.timeout, options.memory_gb)


@cache
def scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="benchmark-")


@cache
def csv_of(case_name: str) -> Path:
    """The data of a case as a file, for R."""
    path = Path(scratch().name) / (case_name.replace("/", "-") + ".csv")
    find_case(case_name).make().to_csv(path, index=False)
    return path


def commands(case_name: str, settings: Settings) -> dict[str, list[str]]:
    """What fits a case, by tool."""
    return {tool: command(tool, case_name, settings) for tool in settings.interpreters}


def command(tool: str, case_name: str, settings: Settings) -> list[str]:
    criterion = "reml" if settings.reml else "ml"
    program = settings.interpreters[tool]
    if tool in ("lme4", "glmmTMB"):
        case = find_case(case_name)
        data = str(csv_of(case_name))
        return [
            program,
            str(HERE / "run_one.R"),
            data,
            case.formula,
            criterion,
            str(case.refits),
            tool,
            case.family,
            case.zero_inflation or "~ 0",
        ]
    return [program, str(HERE / "run_one.py"), tool, case_name, criterion]


@dataclass(slots=True)
class Worker:
    """A running package; `calls` holds its answers, `failure` why there are no more of them."""

    tool: str
    process: subprocess.Popen[str]
    timeout: float
    calls: list[dict[str, Any]] = field(default_factory=list)
    memory: dict[str, Any] = field(default_factory=dict)
    failure: str | None = None

    def ask(self) -> None:
        """One more call, unless the worker has failed."""
        if self.failure is None:
            assert self.process.stdin is not None
            try:
                self.process.stdin.write("call\n")
                self.process.stdin.flush()
            except BrokenPipeError:
                self.failure = "died"
                return
            self._keep(self._answer())

    def finish(self) -> None:
        """Ends the process; a healthy one reports its memory first."""
        assert self.process.stdin is not None
        if self.failure is None:
            self.process.stdin.close()
            self.memory = self._answer() or {}
        self.process.kill()
        self.process.wait()

    def _keep(self, answer: dict[str, Any] | None) -> None:
        if answer is None:
            late = self.process.poll() is None
            self.failure = f"over {self.timeout:g} s" if late else "died"
        elif "error" in answer:
            self.failure = str(answer["error"])
        else:
            self.calls.append(answer)

    def _answer(self) -> dict[str, Any] | None:
        """The next JSON line; None when the process ended or took too long."""
        assert self.process.stdout is not None
        end = time.monotonic() + self.timeout
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.process.stdout], [], [], left)[0]:
                return None
            line = self.process.stdout.readline()
            if not line:
                self.process.wait()
                return None
            if line.startswith("JSON "):
                return dict(json.loads(line[5:]))
        return None


def start(tool: str, program: list[str], settings: Settings) -> Worker:
    """A worker that runs a program and its arguments."""
    threads = str(settings.threads)
    limit = int(settings.memory_gb * 2**30)
    process = subprocess.Popen(
        program,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), threads),
    )
    resource.prlimit(process.pid, resource.RLIMIT_AS, (limit, limit))
    return Worker(tool, process, settings.timeout)


@contextmanager
def workers(programs: dict[str, list[str]], settings: Settings) -> Iterator[list[Worker]]:
    """All the packages, started; ended whatever happens."""
    running: list[Worker] = []
    try:
        for tool, program in programs.items():
            running.append(start(tool, program, settings))
        yield running
    finally:
        for worker in running:
            worker.finish()
