"""Events of the journal in a person's words, from their JSON."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

Payload = Mapping[str, Any]


def event_line(seq: int, kind: str, at: float, principal: str, payload: Payload) -> str:
    """Return one line: number, local time, kind, what happened, who caused it.

    Args:
        seq: Sequence number.
        kind: For example "Observed"; one that a newer server knows and this program does not is shown as it is.
        at: Seconds since 1970 UTC.
        principal: Who caused it.
        payload: Of the journal, without arrays.
    """
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    tell = _WORDS.get(kind)
    what = tell(payload) if tell is not None else json.dumps(dict(payload), sort_keys=True)
    # Reasons are typed by people: control characters must not reach the terminal, nor break the line.
    what = "".join(c if c.isprintable() else " " for c in what)
    return f"{seq:>6}  {clock}  {kind:<12} {what}  [{principal}]"


def _created(p: Payload) -> str:
    spec = p["spec"]
    probes = spec["budget"]["probes"]
    budget = f"{probes} probes" if probes else "no limit of probes"
    return f"{p['campaign_id']}: {spec['scalarizer']['name']} by {spec['policy']['name']}, {budget}"


def _updated(p: Payload) -> str:
    return _because(f"changed {', '.join(p['changed']) or 'nothing'}", p)


def _controlled(p: Payload) -> str:
    return _because(p["action"].replace("_", " "), p)


def _frame_added(p: Payload) -> str:
    if p["n_candidates"] and p["image"] is None:
        return f"{p['frame']}: {p['n_candidates']} patches"
    return f"{p['frame']}: {p['height']} x {p['width']} pixels"


def _frame_revised(p: Payload) -> str:
    affine = p["affine"]
    return _because(
        f"{p['frame']} revision {p['revision']}: moved by (y {affine['y0']:+.4f}, x {affine['x0']:+.4f})", p
    )


def _leased(p: Payload) -> str:
    text = "; ".join(_suggestion(s) for s in p["suggestions"])
    return text + (f"; theory weighs {p['theory']['weight']:.2f}" if p.get("theory") else "")


def _suggestion(s: Payload) -> str:
    text = f"{s['id']} {_at(s)} from {s['source'].replace('_', ' ')}"
    if s["client_id"]:
        text += f" to {s['client_id']}"
    mean, std = float(s["mean"]), float(s["std"])
    if math.isfinite(mean):
        text += f", expected {mean:.4g} ± {std:.2g}"
    return text + (f", degraded: {', '.join(s['degraded'])}" if s["degraded"] else "")


def _renewed(p: Payload) -> str:
    return ", ".join(p["suggestions"])


def _returned(p: Payload) -> str:
    return _because(f"{', '.join(p['suggestions'])} {'expired' if p['is_expired'] else 'released'}", p)


def _observed(p: Payload) -> str:
    o = p["observation"]
    text = f"{o['id']} {_at(o)} {o['status']}"
    text += f", answers {o['suggestion']}" if o["suggestion"] else ", unsolicited"
    text += "".join(f", {word}" for word, flag in (("late", "is_late"), ("outside", "is_outside")) if o[flag])
    return text + (f": {o['message']}" if o["message"] else "")


def _scored(p: Payload) -> str:
    if p["error"]:
        return f"{p['observation']} refused: {p['error']}"
    value, variance = float(p["value"]), float(p["variance"])
    spread = f" ± {math.sqrt(variance):.2g}" if variance >= 0 else ""
    return f"{p['observation']} = {value:.5g}{spread} {p['unit']}".rstrip()


def _amended(p: Payload) -> str:
    return _because(p["observation"], p)


def _points_proposed(p: Payload) -> str:
    return "; ".join(
        f"{point['id']}: candidate {point['candidate']}"
        + (", urgent" if point["is_urgent"] else "")
        + (f" ({point['note']})" if point["note"] else "")
        for point in p["points"]
    )


def _points_withdrawn(p: Payload) -> str:
    return _because(", ".join(p["points"]), p)


def _model_swapped(p: Payload) -> str:
    return f"fitted to {p['n_observations']} observations"


def _theory_queued(p: Payload) -> str:
    where = f" of candidate {p['candidate']}" if p["candidate"] >= 0 else ""
    chosen = ", chosen by the planner" if p["is_automatic"] else ""
    return _because(f"{p['job']}: {p['engine']['name']}{where}{chosen}", p)


def _theory_leased(p: Payload) -> str:
    return f"{p['job']} to {p['worker']}, attempt {p['attempt']}"


def _theory_requeued(p: Payload) -> str:
    return _because(f"{p['job']} waits again, attempt {p['attempt']} came to nothing ({p['failure']})", p)


def _theory_ended(p: Payload) -> str:
    numbers = ", ".join(f"{q['name']} {float(q['value']):.5g} {q['unit']}" for q in p["quantities"])
    text = f"{p['job']} {p['state']}" + (f" ({p['failure']})" if p["failure"] else "")
    text += f": {numbers}" if numbers else ""
    text += f", as {p['cached_from']}" if p["cached_from"] else f", {float(p['core_hours']):.3g} core-hours"
    return text + (f": {p['message']}" if p["message"] else "")


def _evidence_set(p: Payload) -> str:
    return _because(f"{p['job']} {'applied' if p['is_applied'] else 'taken back'}", p)


def _at(p: Payload) -> str:
    return f"(y {p['y']:.4f}, x {p['x']:.4f})"


def _because(text: str, p: Payload) -> str:
    return f"{text}: {p['reason']}" if p.get("reason") else text


_WORDS: dict[str, Callable[[Payload], str]] = {
    "Created": _created,
    "Updated": _updated,
    "Controlled": _controlled,
    "FrameAdded": _frame_added,
    "FrameRevised": _frame_revised,
    "Leased": _leased,
    "Renewed": _renewed,
    "Returned": _returned,
    "Observed": _observed,
    "Scored": _scored,
    "Amended": _amended,
    "Retracted": _amended,
    "PointsProposed": _points_proposed,
    "PointsWithdrawn": _points_withdrawn,
    "ModelSwapped": _model_swapped,
    "TheoryQueued": _theory_queued,
    "TheoryLeased": _theory_leased,
    "TheoryRequeued": _theory_requeued,
    "TheoryEnded": _theory_ended,
    "EvidenceSet": _evidence_set,
}
