"""What a result depends on besides its inputs: the code, as digests of Python files, and the content of data files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from probescout.core.registry import PLANNERS, SCALARIZERS, find
from probescout.core.specs import GIVEN

CODE = (
    "probescout.core",
    "probescout.store",
    "probescout.surrogates",
    "probescout.runtime",
    "probescout.replay",
    "probescout.suites.running",
)
"""Packages and modules on which every result depends."""


@cache
def digest_of_code(modules: tuple[str, ...] = CODE) -> str:
    """Return a digest of all Python files of packages and modules that are installed here."""
    found = hashlib.sha256()
    for module in modules:
        spec = find_spec(module)
        assert spec is not None and spec.origin is not None, module
        origin = Path(spec.origin)
        is_package = spec.submodule_search_locations is not None
        for path in sorted(origin.parent.rglob("*.py")) if is_package else [origin]:
            name = f"{module}/{path.relative_to(origin.parent)}"
            found.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def plugin_packages(policy: str, params: Mapping[str, Any], scalarizer: str) -> tuple[str, ...]:
    """Return the packages that the plug-ins of a run lie in, those of a schedule's stages included.

    Raises:
        InvalidInput: PLUGIN_UNKNOWN.
    """
    names = [(PLANNERS, policy), *((PLANNERS, name) for name in _named(params))]
    names += [(SCALARIZERS, scalarizer)] if scalarizer and scalarizer != GIVEN else []
    return tuple(sorted({find(group, name).entry.module.partition(".")[0] for group, name in names}))


def _named(value: Any) -> Iterator[str]:
    """Yield the policies that the parameters of a policy name: {"policy": {"name": ...}}."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            if key == "policy" and isinstance(one, Mapping) and isinstance(one.get("name"), str):
                yield one["name"]
            yield from _named(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _named(one)


def content_of(path: Path) -> str:
    """Return the SHA-256 of a file or Zarr store: a copy of the data elsewhere must not repeat hours of runs."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    found = hashlib.sha256()
    for file in files:
        stat = file.stat()
        name = str(file.relative_to(path)) if path.is_dir() else file.name
        found.update(f"{name}\0{_sha256(file, stat.st_size, stat.st_mtime_ns)}\0".encode())
    return found.hexdigest()


@cache
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    """Return the SHA-256 of a file; it is read once while size and time of its last change stay the same."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
