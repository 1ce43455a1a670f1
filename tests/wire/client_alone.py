"""Measures a tiny campaign with nothing but the client, grpcio and protobuf: client_alone.py TARGET TOKEN_FILE.

Runs in an environment of its own; prints one JSON object.
"""

from __future__ import annotations

import json
import math
import sys

import probescout_client as ps

SIZE, BUDGET = 12, 8


def main(target: str, token_file: str) -> None:
    """Create a campaign, measure its budget, and say what came of it."""
    image = [[math.sin(0.7 * y) * math.cos(0.4 * x) for x in range(SIZE)] for y in range(SIZE)]
    with ps.connect(target, token_file=token_file) as planner:
        run = planner.start(
            image, scalarizer="band_sum", params={"low": 0.0, "high": 9.0}, budget=BUDGET, n_initial=4, deep=False
        )
        told = []
        for point in run:
            level = 20.0 + 10.0 * math.sin(7.0 * point.y) * math.cos(5.0 * point.x)
            told.append(run.tell(point, [level] * 10, axis=([float(i) for i in range(10)], "eV")))
        result = {
            "version": ps.__version__,
            "file": ps.__file__,
            "n_acknowledged": sum(t.is_acknowledged for t in told),
            "cause": run.stop_report.cause if run.stop_report else "",
            "n_observations": planner.get(run.name).n_observations,
            "loaded": sorted({"numpy", "torch", "probescout", "scipy"} & set(sys.modules)),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
