"""The client must parse and import under Python 3.7 and load nothing heavy."""

import ast
import glob
import os
import subprocess
import sys

import pytest

PACKAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "probescout_client")
FILES = sorted(glob.glob(os.path.join(PACKAGE, "**", "*.py"), recursive=True))
PYENV = os.path.expanduser("~/.pyenv/versions")
OLD = [v for v in sorted(os.listdir(PYENV)) if v.startswith("3.") and v != "3.6.15"] if os.path.isdir(PYENV) else []
FORBIDDEN_MODULES = {"asyncio", "multiprocessing", "numpy", "scipy", "torch", "probescout", "importlib.metadata"}
NEWER_NAMES = {
    "math": {"prod", "dist", "comb", "nextafter"},
    "functools": {"cached_property", "cache", "singledispatchmethod"},
    "typing": {"Protocol", "Literal", "Final", "TypedDict", "Self", "Annotated", "ParamSpec", "TypeAlias", "Never"},
    "threading": {"excepthook"},
    "shlex": {"join"},
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: os.path.relpath(path, PACKAGE))
def test_parses_as_3_7_and_uses_nothing_newer(path):
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read(), path, feature_version=(3, 7))
    for node in ast.walk(tree):
        assert not isinstance(node, (ast.NamedExpr, ast.Match, ast.AsyncFunctionDef)), node.lineno
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            names = {getattr(side, "id", None) for side in (node.left, node.right)}
            assert not names & {"int", "str", "float", "bytes", "list", "dict", "tuple"}, node.lineno
            assert not any(isinstance(s, ast.Constant) and s.value is None for s in (node.left, node.right)), (
                node.lineno
            )
        if isinstance(node, ast.Import):
            assert not {alias.name for alias in node.names} & FORBIDDEN_MODULES, node.lineno
        if isinstance(node, ast.ImportFrom):
            assert node.module not in FORBIDDEN_MODULES, node.lineno
            assert not {alias.name for alias in node.names} & NEWER_NAMES.get(node.module, set()), node.lineno
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("removeprefix", "removesuffix", "toreadonly", "bit_count"), node.lineno
            owner = getattr(node.value, "id", None)
            assert node.attr not in NEWER_NAMES.get(owner, set()), node.lineno


@pytest.mark.parametrize("version", OLD)
def test_compiles_under_each_interpreter_found(version):
    python = os.path.join(PYENV, version, "bin", "python")
    check = "import sys\nfor p in sys.argv[1:]: compile(open(p, encoding='utf-8').read(), p, 'exec')"
    done = subprocess.run([python, "-c", check] + FILES, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_import_loads_grpc_and_protobuf_only():
    code = (
        "import sys, probescout_client; "
        "print([m for m in ('numpy', 'scipy', 'torch', 'asyncio', 'probescout', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stdout))
    # grpcio brings asyncio itself; the client must add nothing.
    assert loaded <= {"asyncio"}
