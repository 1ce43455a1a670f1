"""Results of simulations by key, in a directory that may be shared and may be deleted at any time."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probescout.core.jsonable import to_json
from probescout.core.theory import JobResult, JobState
from probescout.runtime.theory_results import canonical, judged, read_result
from probescout.store.durable import sync_directory, write

_log = logging.getLogger(__name__)


class ResultCache:
    """Files `ab/<key>.json`, each whole or not there, and each checked before it is believed.

    Example:
        >>> import tempfile
        >>> from probescout.core.theory import Quantity
        >>> cache = ResultCache(Path(tempfile.mkdtemp()))
        >>> key = hashlib.sha256(b"structure, engine, settings, versions").hexdigest()
        >>> cache.put(JobResult(JobState.SUCCEEDED, (Quantity("energy", -1.5, "eV"),), key=key))
        >>> cache.get(key, {"energy": "eV"}).quantities[0].value
        -1.5
    """

    def __init__(self, directory: Path) -> None:
        """Use a directory; it is made when it is first written to."""
        self._directory = directory

    def path(self, key: str) -> Path:
        """Return where the result of that key lies."""
        return self._directory / key[:2] / f"{key}.json"

    def get(self, key: str, declared: Mapping[str, str]) -> JobResult | None:
        """Return the result of that key; None when there is none that can be trusted.

        Args:
            key: SHA-256 of structure, engine, settings and version.
            declared: Unit of every quantity of the engine, by name.
        """
        path = self.path(key)
        try:
            data = json.loads(path.read_bytes())
            wrong = _wrong_with(data, key)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            wrong = repr(error)
        result = None if wrong else judged(read_result(data["result"]), declared)
        if result is None or result.state is not JobState.SUCCEEDED:
            _log.warning("%s is passed over: %s; it is calculated again", path, wrong or (result and result.message))
            return None
        return result

    def put(self, result: JobResult) -> None:
        """Keep a result that succeeded, under its key.

        Raises:
            OSError: The disk refuses; what was there before still is.
        """
        body = to_json(result)
        data = json.dumps({"key": result.key, "sha256": _digest(body), "result": body}, allow_nan=False)
        path = self.path(result.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, data.encode(), scratch=path.with_name(f".{result.key}.{os.getpid()}.tmp"))
        sync_directory(path.parent)


def _digest(body: Any) -> str:
    return hashlib.sha256(canonical(body).encode()).hexdigest()


def _wrong_with(data: Any, key: str) -> str:
    """Return what is wrong with the content of a file; empty for nothing."""
    if not isinstance(data, dict) or set(data) != {"key", "sha256", "result"}:
        return "it has not the parts of a kept result"
    if data["key"] != key or data["sha256"] != _digest(data["result"]):
        return "its content is not what was written"
    if not isinstance(data["result"], dict) or data["result"].get("key") != key:
        return "it is the result of another job"
    return ""
