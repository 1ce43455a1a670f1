import sys
from pathlib import Path

# The benchmarks are no part of the installed packages; `python -m pytest` finds them, plain `pytest` does not.
ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.append(ROOT)
