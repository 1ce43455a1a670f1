"""A killed client's points are taken back by whoever follows it, a living one's by nobody."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from probescout_client import identity
from probescout_client.identity import Identity
from test_client_run import start

HOLDER = """
import sys
from probescout_client.identity import Identity
own = Identity(sys.argv[1])
print(own.client_id, flush=True)
sys.stdin.read()
"""
CLIENT = """
import json, sys
import probescout_client as ps
target, token, outbox, campaign = sys.argv[1:]
run = ps.connect(target, token=token, outbox=outbox).resume(campaign, prefetch=2)
point = run.ask()
run.tell(point, value=1.0, variance=0.1)
print(json.dumps([run.ask().name, run.ask().name, run.ask().name]), flush=True)
sys.stdin.read()
"""


@contextmanager
def process(code, *words):
    """Run a script; yield its first line once it has printed it, and how to kill it; it holds on until then."""
    command = [sys.executable, "-c", code] + list(words)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:

        def kill():
            child.kill()
            assert child.wait(20.0) == -signal.SIGKILL

        try:
            yield child.stdout.readline().strip(), kill
        finally:
            if child.poll() is None:
                child.kill()


def client(server, campaign):
    return process(CLIENT, server.target, server.token, server.outbox, campaign)


def test_an_id_is_used_again_and_never_twice_at_once(tmp_path):
    first, second, third = (Identity(str(tmp_path)) for _ in range(3))
    assert first.client_id == first.client_id != second.client_id
    kept = first.client_id
    first.close()
    assert third.client_id == kept
    other = tmp_path / "other"
    other.mkdir()
    elsewhere = Identity(str(other))
    assert elsewhere.client_id not in (kept, second.client_id)
    assert Identity(str(tmp_path), "titan-1").client_id == Identity(str(tmp_path), "titan-1").client_id == "titan-1"
    for one in (second, third, elsewhere):
        one.close()


def test_the_id_of_a_killed_process_is_taken_over_and_that_of_a_living_one_is_not(tmp_path):
    with process(HOLDER, str(tmp_path)) as (held, kill):
        beside = Identity(str(tmp_path))
        assert held and beside.client_id != held
        kill()
        after = Identity(str(tmp_path))
        assert after.client_id == held
        beside.close()
        after.close()


@pytest.mark.parametrize("content", [b"", b"titan-3f", b"\xff\xfe\n", b"two words\n", b"x" * 200 + b"\n"])
def test_a_damaged_file_gives_a_new_id_that_is_kept(tmp_path, content):
    first = Identity(str(tmp_path))
    assert first.client_id
    first.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    second = Identity(str(tmp_path))
    kept = second.client_id
    assert identity._VALID.fullmatch(kept) and kept.encode() != content.strip()
    second.close()
    third = Identity(str(tmp_path))
    assert third.client_id == kept
    third.close()


def test_a_disk_without_locks_is_said_and_harms_nothing(tmp_path, caplog, monkeypatch):
    def refused(file):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(identity, "_lock", refused)
    one, two = Identity(str(tmp_path)), Identity(str(tmp_path))
    assert one.client_id != two.client_id
    assert caplog.text.count("No locks available") == 2


@pytest.mark.timeout(60)
@pytest.mark.parametrize("way", ["resume", "start"])
def test_the_last_points_of_a_budget_are_taken_back_after_a_kill(server, image, campaign, way):
    with server.connect() as planner:
        start(planner, image, campaign, budget=4, lease_s=600.0)
        with client(server, campaign) as (line, kill):
            held = json.loads(line)
            kill()
        status = planner.get(campaign)
        assert (status.n_observations, status.n_pending) == (1, 3)
        again = planner.resume(campaign) if way == "resume" else start(planner, image, campaign, exist_ok=True)
        began, names = time.monotonic(), []
        for point in again:
            names.append(point.name)
            assert not again.tell(point, value=2.0, variance=0.1).is_late
        assert names == held and time.monotonic() - began < 20.0
        assert again.stop_report.cause == "budget_probes" and again.stop_report.is_final
        status = again.status()
        assert (status.n_observations, status.n_pending) == (4, 0)


@pytest.mark.timeout(60)
def test_the_points_of_a_living_process_stay_its_own(server, image, campaign):
    with server.connect() as planner:
        start(planner, image, campaign)
        # Whoever only looks on takes nothing over, so that the one who measures can.
        onlooker = planner.resume(campaign)
        with client(server, campaign) as (line, kill):
            held = json.loads(line)
            beside = planner.resume(campaign)
            own = beside.ask().name
            assert own not in held
            assert onlooker.status().n_pending == 4
            kill()
        after = planner.resume(campaign)
        assert [after.ask().name for _ in held] == held
        assert after.ask().name not in [own] + held


def test_only_files_of_this_computer_are_looked_at(tmp_path, monkeypatch):
    here = Identity(str(tmp_path))
    assert here.client_id
    here.close()
    monkeypatch.setattr(identity.socket, "gethostname", lambda: "an other/one")
    there = Identity(str(tmp_path))
    assert there.client_id.startswith("an_other_one-") and there.client_id != here.client_id
    there.close()
    assert len(os.listdir(str(tmp_path))) == 2
