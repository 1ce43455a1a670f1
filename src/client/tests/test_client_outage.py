"""Cut links, dead servers, dead clients: every measurement arrives exactly once."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import grpc
import probescout_client as ps
import pytest
from test_client_run import eventually, start

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def test_replies_cut_after_the_commit_count_once(server, proxy, image, campaign):
    rng = random.Random(7)
    with server.connect(proxy.target, timeout_s=3.0) as planner:
        run = start(planner, image, campaign, budget=40, heartbeat_s=600.0)
        values = []
        for point in run:
            if rng.random() < 0.35:
                proxy.arm()
            values.append(len(values) + 0.5)
            run.tell(point, value=values[-1], variance=0.1)
        assert proxy.n_cut >= 8
        eventually(lambda: run.n_waiting == 0)
        kept = list(run.observations())
        assert sorted(o.value for o in kept) == values and len(kept) == 40
        status = run.status()
        assert (status.n_observations, status.n_pending) == (40, 0)
        assert status.use.probes_spent == 40


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_step_is_retried_with_the_same_request(honest, fake, image, campaign, when):
    with fake.connect() as planner:
        run = start(planner, image, campaign, budget=3)
        for point in run:
            honest.state.faults += [("Step", when, UNAVAILABLE)] * 2
            assert run.tell(point, value=1.0).is_acknowledged
    ids = [request.request_id for name, request in honest.state.calls if name == "Step"]
    assert len(ids) == 9 and len(set(ids)) == 3
    assert len(honest.state.campaigns["campaigns/" + campaign].observations) == 3


def test_measuring_goes_on_offline_and_the_data_arrive_when_the_link_is_back(server, proxy, image, campaign):
    with server.connect(proxy.target, timeout_s=2.0) as planner:
        run = start(planner, image, campaign, budget=9, prefetch=4, offline_after_s=0.2, heartbeat_s=0.1)
        n_offline, values = 0, []
        for point in run:
            values.append(float(len(values)))
            if len(values) == 2:
                proxy.down()
            told = run.tell(point, value=values[-1], variance=0.1)
            n_offline += not told.is_acknowledged
            if len(values) == 5:
                assert run.is_offline and run.n_waiting == 4
                proxy.up()
                eventually(lambda: not run.is_offline)
                assert run.n_waiting == 0
        assert n_offline == 4
        assert sorted(o.value for o in run.observations()) == values == [float(n) for n in range(9)]


def test_server_restart_in_the_middle(honest, fake, image, campaign):
    with fake.connect(timeout_s=2.0) as planner:
        run = start(planner, image, campaign, budget=6)
        for n, point in enumerate(run):
            if n == 2:
                honest.stop()
                honest.start()
            run.tell(point, value=float(n))
        assert sorted(o.value for o in run.observations()) == [float(n) for n in range(6)]


def test_the_loop_gives_up_when_told_to(honest, fake, image, campaign):
    with fake.connect(timeout_s=0.5) as planner:
        run = start(planner, image, campaign, give_up_after_s=0.3, offline_after_s=0.1)
        point = run.ask()
        honest.stop()
        assert not run.tell(point, value=1.0).is_acknowledged
        with pytest.raises(ps.Unavailable):
            run.ask()
        honest.start()
        assert run.flush(10.0) in (0, 1)
        eventually(lambda: run.n_waiting == 0)
        assert run.status().n_observations == 1


def test_dead_man_switch_parks_once_an_outage(honest, fake, image, campaign):
    parked = []
    with fake.connect(timeout_s=1.0) as planner:
        run = start(planner, image, campaign, park_after_s=0.4, on_park=parked.append, heartbeat_s=0.1)
        time.sleep(0.7)
        assert parked == []
        for n in (1, 2):
            honest.stop()
            eventually(lambda n=n: len(parked) == n)
            time.sleep(0.6)
            assert len(parked) == n and "silent" in parked[-1]
            honest.start()
            contact = run._session.connection.last_contact
            eventually(lambda c=contact: run._session.connection.last_contact > c)
            time.sleep(0.3)


CLIENT = """
import os, signal, sys
import probescout_client as ps
from probescout_client.connection import Connection

target, token, outbox, campaign, when, measured = sys.argv[1:]
real, n = Connection.call, 0

def deadly(self, name, *args, **options):
    global n
    n += name == "Step"
    if name == "Step":
        with open(measured, "a") as file:
            file.write(repr(args[0].observation.value) + "\\n")
    if name == "Step" and n == 3 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    reply = real(self, name, *args, **options)
    if name == "Step" and n == 3 and when == "after":
        os.kill(os.getpid(), signal.SIGKILL)
    return reply

Connection.call = deadly
with ps.connect(target, token=token, outbox=outbox) as planner:
    run = planner.resume(campaign)
    print("ready", flush=True)
    for i, point in enumerate(run):
        run.tell(point, value=1000.0 * os.getpid() + i, variance=0.1)
"""


def client_command(tmp_path, server, campaign, when):
    script = tmp_path / "client.py"
    script.write_text(textwrap.dedent(CLIENT))
    measured = str(tmp_path / "measured.txt")
    return [sys.executable, str(script), server.target, server.token, server.outbox, campaign, when, measured]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_client_loses_and_doubles_nothing(server, image, campaign, tmp_path, when):
    with server.connect() as planner:
        start(planner, image, campaign)
        done = subprocess.run(client_command(tmp_path, server, campaign, when), timeout=60)
        assert done.returncode == -signal.SIGKILL
        assert planner.get(campaign).n_observations == (2 if when == "before" else 3)
        folder = os.path.join(server.outbox, campaign)
        assert sum(name.endswith(".step") for name in os.listdir(folder)) == 1
        run = planner.resume(campaign)
        values = [o.value for o in run.observations()]
        assert [value % 1000.0 for value in values] == [0.0, 1.0, 2.0] and len(set(values)) == 3
        assert run.n_waiting == 0


def test_clients_killed_at_random_moments(server, image, campaign, tmp_path):
    rng = random.Random(8)
    command = client_command(tmp_path, server, campaign, "when the parent likes")
    with server.connect() as planner:
        start(planner, image, campaign, lease_s=600.0)
        for _ in range(4):
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                process.stdout.readline()
                time.sleep(rng.uniform(0.0, 0.25))
                process.kill()
        run = planner.resume(campaign)
        kept = [repr(o.value) for o in run.observations()]
        # A value is noted when its file is on disk; the note itself may be the last thing that a kill cut short.
        noted = [line for line in (tmp_path / "measured.txt").read_text().split("\n") if line]
        assert len(noted) > 4 and len(kept) == len(set(kept))
        assert set(noted) <= set(kept)
        assert run.n_waiting == 0


def test_a_server_with_another_history_is_refused_and_the_data_kept(honest, fake, image, campaign):
    with fake.connect() as planner:
        run = start(planner, image, campaign)
        run.observe(0.5, 0.5, value=1.0)
        state = honest.state.campaigns["campaigns/" + campaign]
        # An older backup of the server's disk comes back.
        del state.events[-1]
        with pytest.raises(ps.HistoryMismatch):
            run.observe(0.6, 0.6, value=2.0)
        assert run.n_waiting == 1
        with pytest.raises(ps.HistoryMismatch):
            run.ask()
        with pytest.raises(ps.HistoryMismatch, match="call the person"):
            planner.resume(campaign)
        state.log("Other")
        state.log("Other")
        with pytest.raises(ps.HistoryMismatch):
            planner.resume(campaign)
        assert run.n_waiting == 1


def test_refused_data_are_set_aside_with_the_reason(server, image, campaign):
    with server.connect() as planner:
        run = start(planner, image, campaign)
        point = run.ask()
        with pytest.raises(ps.InvalidInput) as caught:
            run.tell(point, value=float("nan"), variance=0.1)
        assert caught.value.reason == "NON_FINITE" and caught.value.field == "observation.value"
        folder = os.path.join(server.outbox, campaign, "rejected")
        assert len(os.listdir(folder)) == 2 and run.n_waiting == 0
        assert run.tell(point, value=1.0, variance=0.1).is_acknowledged


def test_leftovers_of_an_earlier_campaign_of_the_same_name_are_not_sent(honest, fake, image, campaign):
    with fake.connect(timeout_s=0.5) as planner:
        run = start(planner, image, campaign, offline_after_s=0.1)
        point = run.ask()
        honest.stop()
        run.tell(point, value=1.0)
    honest.state.campaigns.clear()
    honest.start()
    with fake.connect() as planner:
        run = start(planner, image, campaign)
        assert run.status().n_observations == 0 and run.n_waiting == 0


def test_an_upload_goes_on_where_it_was_cut(honest, fake, campaign):
    image = [[float(row * column) for column in range(400)] for row in range(400)]
    honest.state.faults += [("WriteBlob", "after", UNAVAILABLE), ("WriteBlob", "before", UNAVAILABLE)] * 2
    with fake.connect() as planner:
        start(planner, image, campaign)
    assert honest.count("WriteBlob") == 5 + 2
    assert [len(data) for data in honest.state.blobs.values()] == [400 * 400 * 8]
