"""SIGKILL of the server at random moments: nothing acknowledged is lost, nothing counts twice, leases stay."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from probescout_client.wire.v1 import probescout_pb2 as pb

N_KILLS = 20


class Instrument(threading.Thread):
    """Measures in a loop until its server is gone; remembers what was acknowledged and what was in flight."""

    def __init__(self, server: Any, wire: Any, campaign: str, done: dict[str, Any], flying: list[Any]) -> None:
        super().__init__()
        self.server, self.wire, self.campaign = server, wire, campaign
        self.done, self.flying = done, flying
        self.lease: pb.Suggestion | None = None
        self.n_acknowledged = 0
        self.first_reply = threading.Event()

    def run(self) -> None:
        try:
            if self.flying:
                # What had no answer is sent again, to the letter.
                self._take(self.server.call("Step", self.flying[0]))
            while True:
                if self.lease is None:
                    self.lease = self.server.suggest(self.campaign).suggestions[0]
                name = f"o{len(self.done) + 1}"
                o = self.wire.observation(self.campaign, name, self.lease, seed=len(self.done))
                request = pb.StepRequest(request_id=self.wire.new_id(), campaign=self.campaign, observation=o)
                self.flying.append(request)
                self._take(self.server.call("Step", request))
        except (grpc.RpcError, ValueError):
            self.first_reply.set()  # the channel is closed or cut: the server is dead

    def _take(self, reply: pb.StepReply) -> None:
        [request] = self.flying
        self.done[request.observation.name] = request.observation
        self.flying.clear()
        self.lease = reply.suggestions[0]
        self.n_acknowledged += 1
        self.first_reply.set()


def listed(server: Any, campaign: str, what: str) -> list[Any]:
    method, request, field = {
        "observations": ("ListObservations", pb.ListObservationsRequest(is_with_spectra=True), "observations"),
        "suggestions": ("ListSuggestions", pb.ListSuggestionsRequest(), "suggestions"),
    }[what]
    request.campaign, request.page_size = campaign, 1000
    rows, token = [], None
    while token != "":
        request.page_token = token or ""
        page = server.call(method, request)
        rows += getattr(page, field)
        token = page.next_page_token
    return rows


@pytest.mark.timeout(300)
def test_twenty_kills(make_server: Callable[..., Any], wire: Any) -> None:
    rng = random.Random(11)
    done: dict[str, Any] = {}
    flying: list[Any] = []
    server = make_server("data")
    campaign = server.campaign("killed", size=64)
    lease: pb.Suggestion | None = None
    workers: set[int] = set()
    for _ in range(N_KILLS):
        instrument = Instrument(server, wire, campaign, done, flying)
        instrument.lease = lease
        instrument.start()
        instrument.first_reply.wait(30)
        # A moment of the loop, not a pause: the kill must fall anywhere in it.
        threading.Event().wait(rng.uniform(0.0, 0.15))
        workers |= children(server.process.pid)
        server.kill()
        instrument.join(30)
        assert not instrument.is_alive()
        lease = instrument.lease
        server = make_server("data")
        check(server, campaign, done, flying, lease)
    assert len(done) > N_KILLS
    # What was in flight at the last kill is completed by its retry, once.
    if flying:
        reply = server.call("Step", flying[0])
        assert reply.observation.name == flying[0].observation.name
        done[reply.observation.name] = flying[0].observation
    check(server, campaign, done, [], None)
    assert len(listed(server, campaign, "observations")) == len(done)
    assert server.stop() == 0
    assert not [pid for pid in workers if os.path.exists(f"/proc/{pid}") and not is_zombie(pid)]


def check(server: Any, campaign: str, done: dict[str, Any], flying: list[Any], lease: pb.Suggestion | None) -> None:
    found = listed(server, campaign, "observations")
    names = [o.name for o in found]
    assert len(names) == len(set(names)), "an observation counts twice"
    missing = set(done) - set(names)
    assert not missing, f"acknowledged and lost: {missing}"
    assert set(names) - set(done) <= {r.observation.name for r in flying}, "an observation that nobody sent"
    assert [o.ordinal for o in found] == list(range(1, len(found) + 1))
    for o in found:
        if o.name in done:
            assert o.spectrum.data == done[o.name].spectrum.data
    pending = {s.name: s for s in listed(server, campaign, "suggestions") if s.state == pb.SUGGESTION_STATE_PENDING}
    answered = {o.suggestion for o in found}
    if lease is not None and lease.name not in answered:
        # The lease that was acknowledged is still this client's, at the same place, for a full period.
        kept = pending[lease.name]
        assert (kept.lease_token, kept.position) == (lease.lease_token, lease.position)
        assert kept.expires_in_s > 100


def children(pid: int) -> set[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return {int(p) for p in file.read().split()}


def is_zombie(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "Z"


@pytest.mark.parametrize("point", ["before_append", "after_append", "before_commit", "after_commit"])
def test_kill_at_named_points(make_server: Callable[..., Any], wire: Any, point: str) -> None:
    # The eighth passage falls into the loop, behind the events that set the campaign up.
    server = make_server("data", env={"PROBESCOUT_FAILPOINT": f"{point}:8"})
    campaign = server.campaign("point")
    done: dict[str, Any] = {}
    flying: list[Any] = []
    instrument = Instrument(server, wire, campaign, done, flying)
    instrument.start()
    instrument.join(60)
    assert not instrument.is_alive()
    assert server.process.wait(30) == -9
    server.kill()
    server = make_server("data")
    check(server, campaign, done, flying, instrument.lease)
    if flying:
        again = server.call("Step", flying[0])
        assert again.observation.name == flying[0].observation.name
        assert len(listed(server, campaign, "observations")) == len(done) + 1


def test_a_restart_continues_with_the_same_next_point(make_server: Callable[..., Any], wire: Any) -> None:
    server = make_server("data")
    campaign = server.campaign("same", size=32)
    s = server.suggest(campaign).suggestions[0]
    for i in range(14):
        o = wire.observation(campaign, f"o{i}", s, seed=i)
        s = server.call("Step", pb.StepRequest(request_id=wire.new_id(), campaign=campaign, observation=o)).suggestions[
            0
        ]
    last = wire.observation(campaign, "last", s)
    server.call("Tell", pb.TellRequest(request_id=wire.new_id(), campaign=campaign, observation=last))
    # A fit that is under way would move the model between the two looks.
    version, shown = -1, None
    while shown is None or version != shown.version.model_version:
        version = server.call("GetCampaign", pb.GetCampaignRequest(name=campaign)).version.model_version
        shown = server.call("Preview", pb.PreviewRequest(campaign=campaign, count=3))
    server.kill()
    server = make_server("data")
    # The maps come when the model is loaded, however busy the computer is; a suggestion would come without it.
    server.call("GetMaps", pb.GetMapsRequest(campaign=campaign))
    again = server.call("Preview", pb.PreviewRequest(campaign=campaign, count=3))
    assert again.version.model_version == shown.version.model_version
    assert not again.degraded_reasons
    assert [p.candidate for p in again.suggestions] == [p.candidate for p in shown.suggestions]
    assert [p.source for p in again.suggestions] == [pb.SUGGESTION_SOURCE_PLANNER] * 3
    for a, b in zip(again.suggestions, shown.suggestions, strict=True):
        assert a.mean == pytest.approx(b.mean, rel=1e-6)
