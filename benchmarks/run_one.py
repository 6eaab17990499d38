"""Fits one case with one package, in that package's interpreter, as its parent asks.

    python run_one.py TOOL CASE reml|ml

Every line on standard input asks for one call, answered by one JSON line with its seconds. The
first call meets a cold process, the later ones a warm one. At the end of the input the memory is
reported. Seconds are of the whole call: data frame and formula in, result out.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cases import Case, find_case
from tools import TOOLS, Tool


def memory(field: str) -> float:
    """Resident memory in MB: VmRSS now, VmHWM the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def call_of(tool: Tool, case: Case, data: pd.DataFrame, reml: bool) -> Callable[[], Any]:
    """The call to time: a fit, or all the refits of the case."""
    if not case.refits:
        return lambda: tool.fit(case, data, reml)
    base = data[case.response].to_numpy(float)
    random = np.random.default_rng(1)
    responses = [base + random.normal(scale=10.0, size=len(base)) for _ in range(case.refits)]
    if tool.refit is None:
        frames = [data.assign(**{case.response: y}) for y in responses]
        return lambda: [tool.fit(case, frame, reml) for frame in frames][-1]
    refit, first = tool.refit, tool.fit(case, data, reml)
    return lambda: [refit(first, y) for y in responses][-1]


def answer(**fields: Any) -> None:
    print("JSON " + json.dumps(fields), flush=True)


def main() -> None:
    name, case_name, criterion = sys.argv[1:]
    warnings.simplefilter("ignore")
    case = find_case(case_name)
    tool = TOOLS[name]()
    imported = memory("VmRSS")
    data = case.make()
    call = call_of(tool, case, data, criterion == "reml")
    forget_peak()
    loaded = memory("VmRSS")
    for _ in sys.stdin:
        try:
            result, seconds = timed(call)
        except Exception as error:  # whatever breaks in a package is its result
            answer(error=f"{type(error).__name__}: {error}"[:200])
            return
        answer(seconds=seconds / max(case.refits, 1), **tool.describe(result))
    design = tool.design
    answer(
        rss_import=imported,
        rss_data=loaded,
        rss_peak=memory("VmHWM"),
        design_seconds=timed(lambda: design(case, data))[1] if design else None,
    )


if __name__ == "__main__":
    main()
