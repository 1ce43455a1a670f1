"""Benchmarks: separate from the tests, each prints one JSON object on its last line."""

import os

# Here, before any of them imports NumPy: their processes are what is parallel, and waiting threads of linear algebra
# made campaigns eight times as slow on a busy machine. Written out, as peers run where Probescout is not installed.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
