"""The process of a job: what it reads and writes, its limits, and what it believes of a result."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import probescout
from probescout.core.errors import InvalidInput, NotFound, Reason, WrongState
from probescout.core.jsonable import to_json
from probescout.core.theory import Failure, JobResult, JobState, Quantity
from probescout.runtime.framing import pack
from probescout.runtime.theory_cache import ResultCache
from probescout.runtime.theory_process import JobProcess, Limits
from probescout.runtime.theory_results import job_key, judged, read_result
from probescout.runtime.theory_run import Progress, engine_class, outcome
from probescout.testing.bad_engines import ENERGY, MISBEHAVING, Misbehaving
from probescout.testing.recording_desk import RecordingDesk

DECLARED = {"energy": "eV", "gap": "eV"}
KEY = hashlib.sha256(b"a job").hexdigest()
GOOD = JobResult(JobState.SUCCEEDED, (ENERGY,), core_hours=0.1, wall_s=2.0, key=KEY, structure={"n": [1]})
LOOKING = """
import os, resource, signal, tempfile
from probescout.core.theory import Quantity

def values():
    return {
        "niceness": os.nice(0),
        "address_space": resource.getrlimit(resource.RLIMIT_AS)[0],
        "processor_s": resource.getrlimit(resource.RLIMIT_CPU)[0],
        "core_file": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "threads": float(os.environ["OMP_NUM_THREADS"]),
        "is_group_leader": float(os.getpgid(0) == os.getpid()),
        "is_torch_loaded": float("torch" in __import__("sys").modules),
        "is_cwd_temporary": float(os.path.realpath(tempfile.gettempdir()) == os.path.realpath(os.getcwd())),
    }

class Looking:
    name = "looking"
    summary = "looks around"
    params_schema = {"type": "object", "properties": {"steps": {"type": "integer"}}, "additionalProperties": False}
    quantities = {name: "1" for name in values()}

    def __init__(self, steps=1):
        self.steps = steps

    def version(self):
        return "looking 1"

    def prepare(self, patch):
        return {"cwd": os.getcwd()}

    def run(self, structure, report):
        open("left behind", "w").close()
        return [Quantity(name, value, "1") for name, value in values().items()]
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in which an engine `looking` is installed, as an installer would."""
    (tmp_path / "looking_engine.py").write_text(LOOKING, encoding="utf-8")
    info = tmp_path / "looking-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: looking\nVersion: 0.1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[probescout.theory]\nlooking = looking_engine:Looking\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return tmp_path


def job(act: str = "behave", **more: Any) -> dict[str, Any]:
    """Return a job as an executor sends it."""
    plain: dict[str, Any] = {"engine": MISBEHAVING, "settings": {"act": act}, "allowed": [MISBEHAVING], "cache": ""}
    return {**plain, "structure": {}, "patch": None, **more}


def run(message: dict[str, Any], *, memory_bytes: int = 1 << 30, cpu_s: int = 60) -> JobResult:
    """Return what becomes of a job."""

    async def work() -> JobResult:
        process = await JobProcess.start(pack(message), Limits(memory_bytes, cpu_s))
        await process.ended()
        await process.end()
        return process.outcome()

    return asyncio.run(work())


# ---------------------------------------------------------------- the process


def test_the_lines_of_a_good_job(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "probescout.runtime.theory_job", str(1 << 30), "60", str(scratch)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    with process:
        process.stdin.write(pack(job()))
        process.stdin.flush()
        first, progress, result, end = [json.loads(line) for line in process.stdout]
    assert process.returncode == 0 and not scratch.exists()
    assert first["pid"] > 0 and progress == {"progress": [0.5, "about to behave"]}
    read = read_result(result["result"])
    assert read.quantities == (ENERGY,) and read.wall_s > 0.0
    assert read.key == job_key({}, MISBEHAVING, {"act": "behave"}, "1")
    assert end["end"]["code"] == 0 and end["end"]["core_s"] >= 3600.0 * read.core_hours > 0.0


def test_an_installed_engine_runs_alone_and_within_limits(installed: Path) -> None:
    patch = {"image": np.ones((2, 3)), "pixel_size_m": 1e-11, "place": [0.5, 0.5]}
    message = job(engine="looking", settings={"steps": 2}, structure=None, patch=patch)
    result = run(message, memory_bytes=700 << 20, cpu_s=77)
    assert result.state is JobState.SUCCEEDED, result.message
    assert {q.name: q.value for q in result.quantities} == {
        "niceness": 19,
        "address_space": 700 << 20,
        "processor_s": 77,
        "core_file": 0,
        "threads": 1,
        "is_group_leader": 1,
        "is_torch_loaded": 0,
        "is_cwd_temporary": 1,
    }
    scratch = Path(result.structure["cwd"])
    assert scratch.name.startswith("probescout-job-") and not scratch.exists(), "with what the engine left in it"


@pytest.mark.parametrize(
    ("more", "failure", "says"),
    [
        ({"settings": {"steps": "many"}}, Failure.BAD_INPUT, "settings.steps of 'looking': 'many' is not of type"),
        ({"settings": {"stepz": 1}}, Failure.BAD_INPUT, "it takes: steps"),
        ({"structure": None}, Failure.BAD_INPUT, "neither a patch nor a structure"),
        ({"engine": "lookin"}, Failure.MISSING_EXTRA, "did you mean 'looking'"),
        ({"engine": "looking_engine:Looking"}, Failure.BAD_INPUT, "names a class and not an installed engine"),
    ],
)
def test_jobs_that_cannot_be_run(
    installed: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], failure: Failure, says: str
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    result = outcome(job(**{"engine": "looking", "settings": {}, **more}), Progress(-1))
    assert (result.state, result.failure) == (JobState.FAILED, failure)
    assert says in result.message


def test_a_bound_on_processor_time() -> None:
    result = run(job("spin"), cpu_s=1)
    assert result.failure is Failure.TIMED_OUT and "processor time" in result.message
    # The kernel counts in ticks and may stop it a little before the second is full.
    assert 0.9 / 3600.0 <= result.core_hours < 10.0 / 3600.0


def test_a_job_that_is_none() -> None:
    result = run({"engine": MISBEHAVING})
    assert result.failure is Failure.CRASHED and "KeyError" in result.message


def test_starting_takes_little_processor_time() -> None:
    assert 0.0 < min(run(job()).core_hours for _ in range(2)) < 2.0 / 3600.0


def test_only_what_is_allowed_is_imported() -> None:
    assert engine_class(MISBEHAVING, [MISBEHAVING]) is Misbehaving
    for name, reason in ((MISBEHAVING, Reason.FIELD_INVALID), ("absent", Reason.PLUGIN_UNKNOWN)):
        with pytest.raises(InvalidInput) as caught:
            engine_class(name, ["os:system"])
        assert caught.value.reason is reason
    for name in ("no.such.module:Class", "os:NoSuchClass"):
        with pytest.raises(InvalidInput) as caught:
            engine_class(name, [name])
        assert caught.value.reason is Reason.PLUGIN_BROKEN


# ---------------------------------------------------------------- results


def test_a_good_result_is_read_as_it_was_written() -> None:
    unsure = replace(GOOD, quantities=(ENERGY, Quantity("gap", -0.0, "eV")))
    for result in (GOOD, unsure, JobResult(JobState.FAILED, failure=Failure.EXPLODED, message="atoms flew")):
        assert repr(read_result(json.loads(json.dumps(to_json(result), allow_nan=False)))) == repr(result)
    assert judged(GOOD, DECLARED) is GOOD


@pytest.mark.parametrize(
    "change",
    [
        {"state": "cancelled"},
        {"state": "running"},
        {"state": "no state"},
        {"failure": "refused"},
        {"state": "failed"},
        {"state": "failed", "failure": "no reason"},
        {"state": "failed", "failure": "refused"},
        {"quantities": []},
        {"quantities": ["energy"]},
        {"quantities": 5},
        {"message": 5},
        {"structure": [1]},
        {"core_hours": "NaN"},
        {"core_hours": -1.0},
        {"wall_s": "Infinity"},
        {"wall_s": None},
    ],
)
def test_records_that_are_no_result(change: dict[str, Any]) -> None:
    result = read_result({**to_json(GOOD), **change})
    assert (result.state, result.failure, result.quantities) == (JobState.FAILED, Failure.GARBAGE, ())
    assert result.message


@pytest.mark.parametrize("data", [None, 5, "text", [], {}, {"state": "succeeded"}])
def test_values_that_are_no_record(data: Any) -> None:
    assert read_result(data).failure is Failure.GARBAGE


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({"name": ""}, Failure.GARBAGE),
        ({"name": 5}, Failure.GARBAGE),
        ({"name": "luck"}, Failure.GARBAGE),
        ({"value": math.nan}, Failure.GARBAGE),
        ({"value": -math.inf}, Failure.GARBAGE),
        ({"unit": ""}, Failure.GARBAGE),
        ({"unit": "Ry"}, Failure.GARBAGE),
        ({"std": -1e-300}, Failure.GARBAGE),
        ({"std": math.inf}, Failure.GARBAGE),
        ({"is_converged": "yes"}, Failure.GARBAGE),
        ({"is_converged": False}, Failure.NOT_CONVERGED),
    ],
)
def test_quantities_that_are_none(change: dict[str, Any], failure: Failure) -> None:
    wrong = replace(GOOD, quantities=(replace(ENERGY, **change),))
    assert judged(wrong, DECLARED).failure is failure
    assert judged(replace(GOOD, quantities=(ENERGY, ENERGY)), DECLARED).failure is Failure.GARBAGE


def test_the_key_is_the_documented_one_and_tells_jobs_apart() -> None:
    text = (
        '{"engine":"xtb","probescout":"' + probescout.__version__ + '","settings":{"a":1,"b":[0.5]},'
        '"structure":{"cell":null},"version":"1 of 2"}'
    )
    key = job_key({"cell": None}, "xtb", {"b": [0.5], "a": 1}, "1 of 2")
    assert key == hashlib.sha256(text.encode()).hexdigest()
    others = [
        job_key({"cell": 0}, "xtb", {"b": [0.5], "a": 1}, "1 of 2"),
        job_key({"cell": None}, "gpaw", {"b": [0.5], "a": 1}, "1 of 2"),
        job_key({"cell": None}, "xtb", {"b": [0.25], "a": 1}, "1 of 2"),
        job_key({"cell": None}, "xtb", {"b": [0.5], "a": 1}, "2 of 2"),
    ]
    assert len({key, *others}) == 5
    with pytest.raises(ValueError, match="JSON compliant"):
        job_key({"cell": math.nan}, "xtb", {}, "1")


# ---------------------------------------------------------------- the cache


def test_a_kept_result_comes_back(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "new" / "cache")
    assert cache.get(KEY, DECLARED) is None
    cache.put(GOOD)
    cache.put(replace(GOOD, message="again"))
    assert cache.get(KEY, DECLARED) == replace(GOOD, message="again")
    assert [p.name for p in (tmp_path / "new").rglob("*") if p.is_file()] == [f"{KEY}.json"]


def test_no_damaged_byte_is_believed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    cache = ResultCache(tmp_path)
    cache.put(GOOD)
    path = cache.path(KEY)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = cache.get(KEY, DECLARED)
        assert found is None or found == GOOD, whole[place - 20 : place + 20]
        path.write_bytes(whole[:place])
        assert cache.get(KEY, DECLARED) is None


def test_what_was_kept_wrongly_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = ResultCache(tmp_path)
    other = "b" * 64
    cache.put(replace(GOOD, key=other))
    path = cache.path(KEY)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(cache.path(other), path)
    assert cache.get(KEY, DECLARED) is None and "not what was written" in caplog.text
    for wrong in (
        replace(GOOD, quantities=(replace(ENERGY, unit="Ry"),)),
        JobResult(JobState.FAILED, failure=Failure.LOST, message="never kept", key=KEY),
    ):
        cache.put(wrong)
        caplog.clear()
        assert cache.get(KEY, DECLARED) is None
        assert "calculated again" in caplog.text
    path.unlink()
    path.mkdir()
    assert cache.get(KEY, DECLARED) is None


def test_an_engine_that_keeps_things_for_other_jobs_is_told_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Path] = []
    monkeypatch.setattr(Misbehaving, "keep_in", lambda self, directory: told.append(directory), raising=False)
    with open(os.devnull, "wb") as nowhere:
        progress = Progress(nowhere.fileno())
        assert outcome(job(), progress).state is JobState.SUCCEEDED and not told
        assert outcome(job(cache=str(tmp_path)), progress).state is JobState.SUCCEEDED
    assert told == [tmp_path / "references"]


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the directory should be", encoding="utf-8")
    result = run(job(cache=str(tmp_path / "cache")))
    assert result.quantities == (ENERGY,), result.message


# ---------------------------------------------------------------- the desk of the suite is strict itself


def test_the_recording_desk_refuses_what_is_not_due() -> None:
    async def work() -> None:
        desk = RecordingDesk()
        name = desk.submit("e", max_attempts=2)
        [first] = await desk.acquire("w", ["e"], 5, 0.05)
        assert (first.attempt, first.lease_s) == (1, 0.05)
        assert await desk.acquire("w", ["e"], 1, 1.0) == ()
        await desk.until(lambda: "expired" in desk.of(name))
        [second] = await desk.acquire("w", ["e"], 1, 60.0)
        assert (await desk.progress(name, second.token, 0.5, "")).expires_in_s == 60.0
        for call in (desk.finish(name, first.token, GOOD), desk.progress(name, first.token, 0.5, "")):
            with pytest.raises(WrongState) as caught:
                await call
            assert caught.value.reason is Reason.LEASE_STALE
        await desk.finish(name, second.token, GOOD)
        await desk.finish(name, second.token, GOOD)
        with pytest.raises(WrongState):
            await desk.progress(name, second.token, 0.5, "")
        assert (await desk.end_of(name)) == GOOD and desk.state(name) is JobState.SUCCEEDED
        assert desk.of(name)[-5:] == ["leased", "refused", "refused", "ended", "repeated"]
        assert desk.offences == ["progress on " + name + " after it was told that its lease is over"]

    asyncio.run(work())


def test_the_recording_desk_gives_up_and_names_offences() -> None:
    async def work() -> None:
        desk = RecordingDesk()
        lost, crashed, wrong = (desk.submit(engine, max_attempts=1) for engine in "abc")
        await desk.acquire("w", ["a"], 1, 0.01)
        assert (await desk.end_of(lost)).failure is Failure.LOST
        [order] = await desk.acquire("w", ["b"], 1, 60.0)
        failure = JobResult(JobState.FAILED, failure=Failure.CRASHED, message="it fell")
        await desk.finish(crashed, order.token, failure)
        assert await desk.end_of(crashed) == failure
        [order] = await desk.acquire("w", ["c"], 1, 60.0)
        with pytest.raises(InvalidInput):
            await desk.finish(wrong, order.token, replace(GOOD, quantities=()))
        assert (await desk.end_of(wrong)).failure is Failure.GARBAGE
        with pytest.raises(NotFound):
            await desk.finish("nobody", "", GOOD)
        await desk.acquire("", [], 0, math.nan)
        await desk.finish(crashed, desk.token(crashed), GOOD)
        assert len(desk.offences) == 4
        assert desk.state(crashed) is JobState.FAILED

    asyncio.run(work())
