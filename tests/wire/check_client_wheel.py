"""Builds the client wheel, installs it alone into a clean environment, and measures on a live server from there.

python tests/wire/check_client_wheel.py; needs a package index for grpcio and protobuf. What it makes lies in build/.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from probescout.replay.server_process import ServerProcess

ROOT = Path(__file__).resolve().parents[2]
WHEELS, ENVIRONMENT = ROOT / "build" / "client-wheel", ROOT / "build" / "client-venv"
ALLOWED = {"pip", "setuptools", "grpcio", "protobuf", "probescout-client", "typing-extensions"}
"""All that may be there: the installer, the two dependencies and what grpcio itself needs."""


def main() -> int:
    """Run the check; return the exit status."""
    shutil.rmtree(WHEELS, ignore_errors=True)
    # From a copy: setuptools would pick up what an earlier build left in the source tree.
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "client"
        shutil.copytree(
            ROOT / "src" / "client", source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
        )
        _run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(WHEELS), str(source))
    [wheel] = WHEELS.glob("*.whl")
    _run(sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT))
    python = str(ENVIRONMENT / "bin" / "python")
    _run(python, "-m", "pip", "install", "--constraint", str(ROOT / "constraints.txt"), str(wheel))
    listed = json.loads(_run(python, "-m", "pip", "list", "--format", "json"))
    names = {row["name"].lower().replace("_", "-") for row in listed}
    if not {"grpcio", "protobuf", "probescout-client"} <= names <= ALLOWED:
        print(f"installed beside the client: {', '.join(sorted(names - ALLOWED))}", file=sys.stderr)
        return 1
    with ServerProcess() as server, tempfile.TemporaryDirectory() as outbox:
        script = str(Path(__file__).with_name("client_alone.py"))
        told = json.loads(_run(python, "-I", script, server.grpc, server.token_file, PROBESCOUT_OUTBOX=outbox))
    print(json.dumps({"wheel": wheel.name, "bytes": wheel.stat().st_size, "installed": sorted(names), **told}))
    is_well = told["n_acknowledged"] == told["n_observations"] == 8 and not told["loaded"]
    return 0 if is_well else 1


def _run(*command: str, **env: str) -> str:
    """Run a command and return its output; its errors go to standard error."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **env})
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
