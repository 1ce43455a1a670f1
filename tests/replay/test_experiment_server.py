"""Experiments over the wire: a server process of their own, and nothing left behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import probescout_client as ps
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.errors import InvalidInput, NotFound, ProbescoutError, Reason, Unavailable
from probescout.core.ports import Measurement
from probescout.core.spectra import Axis, Spectrum, ValueKind
from probescout.replay.case import recorded_case
from probescout.replay.experiment import Plan, Progress, declare, run_experiment
from probescout.replay.opening import open_campaigns
from probescout.replay.recording import Recording
from probescout.replay.server_process import ServerProcess
from probescout.replay.wire_session import WireSession, translated

PLAN = Plan(budget=16, n_initial=6, seeds=(2,), compare=("random",), use_deep=False)
SHAPE = (10, 14)


@pytest.fixture(scope="module")
def recording() -> Recording:
    rng = np.random.default_rng(11)
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]] / 12
    image = np.sin(6 * y + 1) * np.cos(4 * x)
    cube = rng.normal(np.exp(image)[..., None], 0.05, (*SHAPE, 6))
    cube[:, 3, :2] = np.nan
    mask = np.ones(SHAPE, dtype=bool)
    mask[-2:] = False
    return Recording(
        image=image.astype(np.float32),
        spectrum=cube,
        spectrum_dims=("channel",),
        axes=(Axis("channel", np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0]), "bias", "V"),),
        spectrum_kind=ValueKind.CONTINUOUS,
        mask=mask,
    )


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def is_gone_within(watched: int, seconds: float) -> bool:
    """Return whether a process that is not our child ends in time; `watched` is its pidfd."""
    return bool(select.select([watched], [], [], seconds)[0])


def test_over_the_wire_and_in_process_are_the_same_experiment(recording: Recording, tmp_path: Path) -> None:
    case = recorded_case(recording, scalarizer="value_at", name="small")
    with open_campaigns(in_process=True) as open_session:
        here = run_experiment(case, PLAN, open_session)
    with open_campaigns(data=tmp_path / "data") as open_session:
        there = run_experiment(case, PLAN, open_session)
    for a, b in zip(here.runs, there.runs, strict=True):
        np.testing.assert_array_equal(a.path, b.path)
        np.testing.assert_array_equal(a.target, b.target)
        # The maps travel in single precision.
        for name in a.maps:
            np.testing.assert_allclose(a.maps[name], b.maps[name], rtol=1e-4, atol=1e-6)
        assert (b.step_ms > 0).all() and set(b.source) == {"seed_design", "planner"}
    # A server on the same data holds just what was measured, as raw spectra.
    with ServerProcess(tmp_path / "data") as server, ps.connect(server.grpc, token_file=server.token_file) as planner:
        [name] = [c.name for c in planner.campaigns() if "planner" in c.name]
        run = planner.resume(name)
        kept = list(run.observations(with_spectra=True))
        assert run.status().status == pb.CAMPAIGN_STATUS_STOPPED
        spectra = [np.asarray(run.spectrum(o)) for o in kept]
    path = there.of("planner")[0].path
    assert len(kept) == PLAN.budget
    recorded = np.asarray(recording.spectrum).reshape(-1, 6)[path]
    np.testing.assert_array_equal(np.array(spectra), recorded)


def test_partial_failed_and_ready_measurements_are_told_as_such(recording: Recording) -> None:
    case = recorded_case(recording, scalarizer="value_at", params={"channel": 4})
    plan = replace(PLAN, budget=4, n_initial=3)
    with ServerProcess() as server:
        with ps.connect(server.grpc, token_file=server.token_file, outbox=str(server.data / "out")) as planner:
            session = WireSession(planner, declare(case, plan, "random", 0, case.open(0)))
            holed = np.array([np.nan, 1.0, 2.0, 3.0, 4.5, 5.0])
            kept = Spectrum(holed, ("channel",), recording.axes, kind=ValueKind.CONTINUOUS, mask=np.isfinite(holed))
            answers = []
            for spectrum, error in ((kept, ""), (None, "the tip crashed"), (replace(kept, mask=None), "")):
                asked = session.ask()
                assert asked is not None
                measurement = Measurement(asked.y, asked.x, spectrum=spectrum, error=error)
                if spectrum is not None and spectrum.mask is None:
                    with pytest.raises(InvalidInput) as refused:
                        session.tell(asked, measurement)
                    continue
                session.tell(asked, measurement)
                answers.append(session.settle())
            assert refused.value.reason is Reason.NON_FINITE
            assert answers[0].target == 4.5 and answers[1].message == "the tip crashed"
            session.close()


def test_the_server_ends_with_its_context() -> None:
    with ServerProcess() as server:
        assert is_running(server.pid) and server.data.is_dir()
    assert not is_running(server.pid) and not server.data.exists()
    with pytest.raises(RuntimeError, match="boom"), ServerProcess() as server:
        raise RuntimeError("boom")
    assert not is_running(server.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to its parent")
def test_a_killed_client_leaves_no_server() -> None:
    code = (
        "import sys\nfrom probescout.replay.server_process import ServerProcess\n"
        "with ServerProcess() as server:\n    print(server.pid, server.data, flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout is not None
        pid, data = client.stdout.readline().split(maxsplit=1)
        children = Path(f"/proc/{pid}/task/{pid}/children")
        workers = [int(p) for p in children.read_text().split()]
        assert is_running(int(pid)) and workers
        watched = [os.pidfd_open(p) for p in (int(pid), *workers)]
        client.send_signal(signal.SIGKILL)
    assert all(is_gone_within(fd, 10.0) for fd in watched)
    for fd in watched:
        os.close(fd)
    for file in sorted(Path(data.strip()).rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    Path(data.strip()).rmdir()


def test_a_server_that_dies_ends_the_experiment_soon(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probescout.replay.wire_session.GIVE_UP_AFTER_S", 1.0)
    case = recorded_case(recording, scalarizer="value_at")
    with pytest.raises(Unavailable) as error, ServerProcess() as server:
        outbox = str(server.data / "out")
        with ps.connect(server.grpc, token_file=server.token_file, outbox=outbox, patience_s=1.0) as planner:

            def murder(progress: Progress) -> None:
                if progress.n_done == 5:
                    os.kill(server.pid, signal.SIGKILL)

            run_experiment(case, PLAN, lambda declared: WireSession(planner, declared), murder)
    # The first error is the one that is told, not one of the clearing up.
    assert "ControlCampaign" not in error.value.message


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="not ready.*it said: .*file"), ServerProcess(tmp_path / "file"):
        pytest.fail("it started on a file")


@pytest.mark.parametrize(
    ("told", "family", "reason"),
    [
        (ps.NotFound("CAMPAIGN_NOT_FOUND", "gone", "campaign"), NotFound, Reason.CAMPAIGN_NOT_FOUND),
        (ps.Unavailable("UNREACHABLE", "no link"), Unavailable, Reason.WORKER_UNAVAILABLE),
        (ps.SafetyError("OUTSIDE", "no", ""), Unavailable, Reason.WORKER_UNAVAILABLE),
    ],
)
def test_errors_of_the_client_keep_their_family(told: Exception, family: type, reason: Reason) -> None:
    with pytest.raises(ProbescoutError) as error, translated():
        raise told
    assert type(error.value) is family and error.value.reason is reason
