"""Takes one step after a fit, as its parent asks, in this package.

    python infer_one.py STEP reml|ml

Every line on standard input asks for one call, answered by one JSON line. Each call has a new fit,
whose time is told beside, so that nothing that a fit keeps is met twice.
"""

import sys
import warnings

import mixedeffects as me
from cases import find_case
from run_one import answer, timed
from steps import STEPS


def main() -> None:
    name, criterion = sys.argv[1:]
    warnings.simplefilter("ignore")
    step = STEPS[name]
    case = find_case(step.case)
    data = case.make()
    for _ in sys.stdin:
        try:
            fit, fitting = timed(lambda: me.fit(case.formula, data, reml=criterion == "reml"))
            result, seconds = timed(lambda fit=fit: step.take(fit))
            answer(seconds=seconds, fit_seconds=fitting, answer=step.answer(result))
        except Exception as error:  # whatever breaks is the result
            answer(error=f"{type(error).__name__}: {error}"[:200])
            return
    answer()


if __name__ == "__main__":
    main()
