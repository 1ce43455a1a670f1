"""How many threads linear algebra uses: one. Arrays of our size gain nothing from more, and lose on a busy machine."""

from __future__ import annotations

import os

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""For the environment of a process."""


def use_one_thread() -> None:
    """Ask for one thread in this process, unless somebody asked for more; before NumPy is imported, which reads it."""
    for name, count in ONE_THREAD.items():
        os.environ.setdefault(name, count)
