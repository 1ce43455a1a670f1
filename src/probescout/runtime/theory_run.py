"""The process that runs an engine: one job in, lines out, and every failure under its name."""

from __future__ import annotations

import faulthandler
import importlib
import json
import logging
import math
import os
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from probescout.core.errors import InvalidInput, MissingExtra, Reason
from probescout.core.jsonable import to_json
from probescout.core.registry import THEORY, find
from probescout.core.theory import (
    Engine,
    EngineFailure,
    Failure,
    JobResult,
    JobState,
    Keeping,
    Quantity,
    TheoryPatch,
)
from probescout.runtime.framing import PREFIX, lengths, unpack
from probescout.runtime.plugins import check_params
from probescout.runtime.theory_cache import ResultCache
from probescout.runtime.theory_job import MAX_LINE_BYTES, write_all
from probescout.runtime.theory_results import canonical, failed, job_key, judged

MAX_RESULT_BYTES = MAX_LINE_BYTES // 2
PROGRESS_EVERY_S = 1.0
MAX_MESSAGE = 4000
"""Most characters that are kept of what an engine says of a failure."""
_log = logging.getLogger(__name__)


def run_job(source: int, lines: int) -> None:
    """Run the job that stands on a descriptor and write what becomes of it to another."""
    faulthandler.enable()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    me, begin = os.getpid(), time.monotonic()
    message = _read(source)
    os.dup2(os.open(os.devnull, os.O_RDONLY), source)
    result = outcome(message, Progress(lines))
    if os.getpid() != me:
        # A process that the engine forked has come back out of it; the job has one result, and it is not this one's.
        os._exit(1)
    spent = replace(result, core_hours=_core_s() / 3600.0, wall_s=time.monotonic() - begin)
    write_all(lines, _line({"result": to_json(spent)}))


class Progress:
    """What an engine calls to say how far it is; passed on once a second at most."""

    def __init__(self, lines: int) -> None:
        """Write to a descriptor."""
        self._lines = lines
        self._next_s = -math.inf

    def __call__(self, share: float, message: str) -> None:
        """Take the share of the work that is done, 0 to 1, and what is being done."""
        now = time.monotonic()
        if now >= self._next_s and math.isfinite(share):
            self._next_s = now + PROGRESS_EVERY_S
            write_all(self._lines, _line({"progress": [min(1.0, max(0.0, float(share))), str(message)[:200]]}))


class Unusable(Exception):  # noqa: N818 (a state of affairs, as the errors of core)
    """The job ends here."""

    def __init__(self, failure: Failure, message: str) -> None:
        """Keep what it ends with."""
        super().__init__(message)
        self.result = failed(failure, message)


def outcome(message: Mapping[str, Any], progress: Progress) -> JobResult:
    """Return what became of the job, whatever the engine does."""
    try:
        return _calculated(message, progress)
    except Unusable as end:
        return end.result
    except EngineFailure as failure:
        return failed(failure.failure, failure.message[:MAX_MESSAGE])
    except MissingExtra as error:
        return failed(Failure.MISSING_EXTRA, error.message)
    except MemoryError:
        traceback.print_exc()
        return failed(Failure.OUT_OF_MEMORY, "the engine needs more memory than a job may have; allow more to each job")
    except InvalidInput as error:
        is_absent = error.reason in (Reason.PLUGIN_UNKNOWN, Reason.PLUGIN_BROKEN)
        return failed(Failure.MISSING_EXTRA if is_absent else Failure.BAD_INPUT, error.message)
    except BaseException as error:
        # sys.exit in an engine too: the worker must say what happened, and the traceback is in the log.
        traceback.print_exc()
        return failed(Failure.CRASHED, f"the engine failed in a way that it did not mean to: {error!r}"[:MAX_MESSAGE])


def _calculated(message: Mapping[str, Any], progress: Progress) -> JobResult:
    """Return the result of a job, from the cache if it is known.

    Raises:
        Exception: Anything that an engine may raise.
    """
    name, settings = str(message["engine"]), dict(message["settings"])
    cls = engine_class(name, message["allowed"])
    check_params(cls, name, settings, field="settings", what="settings")
    engine: Engine = cls(**settings)
    if message["cache"] and isinstance(engine, Keeping):
        engine.keep_in(Path(message["cache"]) / "references")
    version = str(engine.version())
    structure = message["structure"]
    if structure is None:
        structure = engine.prepare(_patch(message["patch"]))
    structure, key = _keyed(structure, name, settings, version)
    declared = dict(cls.quantities)
    cache = ResultCache(Path(message["cache"])) if message["cache"] else None
    known = cache.get(key, declared) if cache else None
    if known is not None:
        return replace(known, message="known already: taken from the cache of results")
    try:
        result = judged(JobResult(JobState.SUCCEEDED, _plain(engine.run(structure, progress))), declared)
    except EngineFailure as failure:
        result = failed(failure.failure, failure.message[:MAX_MESSAGE])
    result = replace(result, key=key, structure=structure)
    if len(_line(to_json(result))) > MAX_RESULT_BYTES:
        return failed(Failure.GARBAGE, f"the result is longer than {MAX_RESULT_BYTES} bytes; a job gives a few numbers")
    if cache and result.state is JobState.SUCCEEDED:
        try:
            cache.put(result)
        except OSError as error:
            _log.warning("the result is not kept in the cache: %s", error)
    return result


def engine_class(name: str, allowed: tuple[str, ...] | list[str]) -> Any:
    """Return the class of an engine: of an entry point, or named "module:Class" where that very text is allowed.

    Raises:
        InvalidInput: PLUGIN_UNKNOWN or PLUGIN_BROKEN; FIELD_INVALID for a class that is not allowed.
    """
    if ":" not in name:
        return find(THEORY, name, field="engine").load()
    if name not in allowed:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"'{name[:200]}' names a class and not an installed engine; name the entry point, or have the executor "
            "built with this class in `allowed`",
            field="engine",
        )
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise InvalidInput(Reason.PLUGIN_BROKEN, f"'{name}' cannot be imported: {error!r}", field="engine") from error


def _keyed(structure: Any, name: str, settings: Mapping[str, Any], version: str) -> tuple[Any, str]:
    """Return the structure as JSON reads it, and the key of the job.

    Raises:
        Unusable: The structure is no JSON object.
    """
    try:
        if not isinstance(structure, Mapping):
            raise TypeError(f"a {type(structure).__name__} is no JSON object")
        text = canonical(dict(structure))
        if len(text) > MAX_RESULT_BYTES:
            raise ValueError(f"{len(text)} bytes as JSON, at most {MAX_RESULT_BYTES}")
        plain = json.loads(text)
        return plain, job_key(plain, name, settings, version)
    except (TypeError, ValueError, RecursionError) as error:
        raise Unusable(
            Failure.GARBAGE, f"the structure is not a short JSON object of finite values: {error}; mend `prepare`"
        ) from error


def _plain(quantities: Any) -> tuple[Quantity, ...]:
    """Return quantities of plain values, whatever number types the engine uses.

    Raises:
        Unusable: They are none.
    """
    try:
        return tuple(Quantity(q.name, float(q.value), q.unit, float(q.std), bool(q.is_converged)) for q in quantities)
    except (TypeError, ValueError, AttributeError) as error:
        raise Unusable(
            Failure.GARBAGE, f"the engine did not return quantities: {error!r}; it returns `Quantity` objects"
        ) from error


def _patch(data: Mapping[str, Any] | None) -> TheoryPatch:
    """Return the patch of a job.

    Raises:
        Unusable: There is none.
    """
    if data is None:
        raise Unusable(Failure.BAD_INPUT, "the job has neither a patch nor a structure; it needs one of them")
    y, x = data["place"]
    return TheoryPatch(data["image"], float(data["pixel_size_m"]), (float(y), float(x)))


def _read(source: int) -> dict[str, Any]:
    """Return the job that stands on a descriptor."""
    n_header, n_body = lengths(_exactly(source, PREFIX))
    header = _exactly(source, n_header)
    return unpack(header, _exactly(source, n_body))


def _exactly(source: int, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = os.read(source, min(count, 1 << 20))
        if not part:
            raise EOFError(f"the job on the input ends {count} bytes too early")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _core_s() -> float:
    """Return the processor seconds of this process, its start included, and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _line(message: Any) -> bytes:
    return json.dumps(message, allow_nan=False).encode() + b"\n"
