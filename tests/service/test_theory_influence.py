"""What simulations do to a campaign, seen over a real socket: the planner asks, a worker answers, the model tells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from probescout_client.wire.v1 import probescout_pb2 as pb

SPEC = pb.TheorySpec(engine="springs", quantity="energy", window_m=2e-9, max_running=2, lease_s=30, deadline_s=60)
N_STEPS = 20


def probe(theory: Any, name: str, given: pb.Suggestion, seed: int) -> pb.StepReply:
    seen = theory.wire.observation(name, f"o{seed}", given, seed)
    request = pb.StepRequest(request_id=theory.wire.new_id(), campaign=name, observation=seen, count=1)
    return theory.server.call("Step", request)


def energy(theory: Any, campaign: str, order: pb.TheoryJob) -> float:
    """Return the target's own mean: the theory is right, in units of its own."""
    [job] = [j for j in theory.jobs(campaign) if j.name == order.name]
    y, x = job.position.y, job.position.x
    return -0.1 * math.exp(1.0 + math.sin(7 * y + 2) * math.cos(5 * x))


def test_a_right_theory_earns_a_say_and_is_seen_everywhere(theory: Any, kit: Any) -> None:
    name = kit.campaign(theory, "influenced", SPEC, has_frame=True)
    reply: Any = theory.server.suggest(name)
    assert not reply.HasField("theory"), "nothing before there are results"
    for i in range(N_STEPS):
        reply = probe(theory, name, reply.suggestions[0], i)
        # The planner asks by itself for what was just measured.
        for order in theory.acquire(2, campaign=name, wait_s=20.0):
            number = pb.Quantity(
                name="energy", value=energy(theory, name, order), std=0.0, unit="eV", is_converged=True
            )
            theory.finish(order, results=[number])
    reply = theory.server.suggest(name)
    assert 0.0 < reply.theory.weight <= 0.9 and reply.theory.skill > 0.0 and reply.theory.n_results >= 8
    [slope] = reply.theory.slopes
    assert slope.engine == "springs:energy" and slope.slope < 0.0 < slope.slope_std and slope.noise_std >= 0.0
    leased = [payload for kind, payload in kit.events(theory.server, name) if kind == "Leased"]
    assert "theory" not in leased[0] and leased[-1]["theory"]["weight"] == reply.theory.weight
    kinds = [pb.MAP_KIND_PRIOR, pb.MAP_KIND_THEORY, pb.MAP_KIND_THEORY_STD, pb.MAP_KIND_MEAN]
    shown = theory.server.call("GetMaps", pb.GetMapsRequest(campaign=name, kinds=kinds))
    maps = {m.kind: m.tensor for m in shown.maps}
    assert set(maps) == set(kinds) and [maps[k].unit for k in kinds] == ["counts", "eV", "eV", "counts"]
    prior, told, doubt = (np.frombuffer(maps[k].data, np.float32) for k in kinds[:3])
    assert np.isfinite(prior).all() and np.abs(prior).max() > 0.0 and (doubt >= 0.0).all()
    y, x = ((np.mgrid[0:16, 0:16] + 0.5) / 16).reshape(2, -1)
    right = -0.1 * np.exp(1.0 + np.sin(7 * y + 2) * np.cos(5 * x))
    assert np.corrcoef(told, right)[0, 1] > 0.7
    assert sum(w.weight for w in shown.weights if w.member.endswith("+theory")) > 0.0
    position = pb.Position(y=0.5, x=0.5)
    [opinion] = theory.server.call("Explain", pb.ExplainRequest(campaign=name, position=position)).theory
    # A fit, or the last result, may come between the two answers.
    assert abs(opinion.slope - slope.slope) < 3.0 * slope.slope_std
    assert opinion.engine == "springs:energy" and opinion.std > 0.0
    # Taken back, all of it: the next answer owes nothing to theory, and says nothing of it.
    assert all(job.is_automatic for job in theory.jobs(name))
    for job in theory.jobs(name):
        if job.state == pb.THEORY_JOB_STATE_SUCCEEDED:
            theory.set_evidence(job.name, pb.EVIDENCE_STATE_RETRACTED)
    shown = theory.server.call("GetMaps", pb.GetMapsRequest(campaign=name, kinds=kinds))
    assert [m.kind for m in shown.maps] == [pb.MAP_KIND_MEAN]
    assert not theory.server.suggest(name).HasField("theory")
