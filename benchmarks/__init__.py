"""Benchmarks: separate from the tests, each prints one JSON object on its last line."""

from probescout.core.one_thread import use_one_thread

# Here, before any of them imports NumPy: their processes are what is parallel, and waiting threads of linear algebra
# made campaigns eight times as slow on a busy machine.
use_one_thread()
