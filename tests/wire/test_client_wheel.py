"""The client wheel alone, with grpcio and protobuf and nothing else on the path, talks to a live server.

`make client-wheel` does the same with an environment installed from a package index.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import google.protobuf
import grpc
import pytest
import typing_extensions

HERE = Path(__file__).parent
CLIENT = HERE.parents[1] / "src" / "client"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("wheel") / "client"
    shutil.copytree(CLIENT, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    code = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(source.parent)],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [built] = source.parent.glob("*.whl")
    return built


def test_what_the_wheel_declares_and_holds(wheel: Path) -> None:
    assert wheel.name.startswith("probescout_client-") and wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [metadata] = [archive.read(n).decode() for n in names if n.endswith(".dist-info/METADATA")]
    needed = [line.split(": ", 1)[1] for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    assert sorted(needed) == ["grpcio>=1.48", "protobuf>=3.20"]
    assert "Requires-Python: >=3.7" in metadata.splitlines()
    modules = {str(p.relative_to(CLIENT)) for p in (CLIENT / "probescout_client").rglob("*.py")}
    assert modules <= names
    assert {"probescout_client/py.typed", "probescout_client/wire/v1/probescout_pb2.pyi"} <= names
    top = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert top == {"probescout_client"}


def test_the_wheel_alone_measures_on_a_live_server(wheel: Path, server: Any, tmp_path: Path) -> None:
    path = tmp_path / "path"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(path)
    (path / "google").mkdir()
    for name, module in (("grpc", grpc), ("google/protobuf", google.protobuf)):
        (path / name).symlink_to(Path(str(module.__file__)).parent)
    (path / "typing_extensions.py").symlink_to(Path(str(typing_extensions.__file__)))
    upb = Path(str(google.protobuf.__file__)).parents[1] / "_upb"
    (path / "google" / "_upb").symlink_to(upb)
    # Without site packages (-S) and without this directory (-I): only what is linked above can be imported.
    code = (
        "import runpy, sys; path, script, *rest = sys.argv[1:]; sys.path.insert(0, path); "
        "sys.argv = [script, *rest]; runpy.run_path(script, run_name='__main__')"
    )
    reach = [server.ready["grpc"], server.ready["token_file"]]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(path), str(HERE / "client_alone.py"), *reach],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PROBESCOUT_OUTBOX": str(tmp_path / "outbox")},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["file"].startswith(str(path)) and told["loaded"] == []
    assert (told["n_acknowledged"], told["n_observations"], told["cause"]) == (8, 8, "budget_probes")
    assert told["version"] == importlib.metadata.version("probescout-client")
