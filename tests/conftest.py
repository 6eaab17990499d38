"""Before NumPy loads: one thread, so that tests run side by side and repeat to the last bit."""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
