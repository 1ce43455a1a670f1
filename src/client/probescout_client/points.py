"""What a run hands out and takes back, as plain immutable records."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, Optional, Tuple

from probescout_client.wire.v1 import probescout_pb2 as pb


@dataclass(frozen=True)
class Point:
    """A position to measure, leased to this client.

    Example:
        >>> point = Point(y=0.25, x=0.75, name="campaigns/c/suggestions/1")
        >>> point.y, point.x
        (0.25, 0.75)
    """

    y: float
    """Fraction from the top of the frame."""
    x: float
    """Fraction from the left of the frame."""
    name: str
    """campaigns/{c}/suggestions/{s}; empty for an unsolicited position."""
    mean: float = 0.0
    """Predicted target, in target units."""
    std: float = 0.0
    """Standard deviation of the prediction without measurement noise."""
    acquisition: float = 0.0
    """Value of the policy; larger is better."""
    noise_std: float = 0.0
    """Standard deviation of the measurement noise expected here."""
    source: str = ""
    """planner, prefetch, fallback, seed_design or operator."""
    degraded_reasons: Tuple[str, ...] = ()
    """Why the answer is less than the best the server can do; empty when it is the best."""
    settings: Dict[str, float] = field(default_factory=dict)
    """Extra acquisition parameters to use, by name."""
    setting_units: Dict[str, str] = field(default_factory=dict)
    """Their units."""
    expires_in_s: float = 0.0
    """Seconds of the lease when it was handed out; Run.seconds_left tells what is left now."""
    frame: str = ""
    """Frame of y and x."""
    ordinal: int = 0
    """1 for the first suggestion of the campaign."""
    model_version: int = 0
    """Hyperparameters on which it is based."""
    policy: str = ""
    """Policy that chose it, or the stage of it that did; empty when none did."""
    novelty: float = float("nan")
    """0 to 1: share of the prior variance that nothing measured explains; NaN: unknown."""
    lease_token: str = ""
    """Proves who holds it."""


@dataclass(frozen=True)
class StopReport:
    """Why no more points come."""

    cause: str
    """budget_probes, budget_seconds, budget_dose, no_candidates, paused, stopped, aborted, rate or max_step."""
    message: str = ""
    retry_after_s: float = 0.0
    """Seconds after which it is worth asking again; 0: the client's choice."""
    is_final: bool = True
    """Whether the loop ends."""


@dataclass(frozen=True)
class StopAdvice:
    """What a stop rule of the campaign says; nothing acts on it but you."""

    rule: str
    is_met: bool
    value: float
    """What the rule looks at; NaN when it cannot say."""
    bound: float
    unit: str
    """Of value and bound."""
    message: str
    """The evidence."""


@dataclass(frozen=True)
class Objective:
    """A further target of the same signal, planned for beside the first one."""

    scalarizer: str
    params: Dict[str, Any] = field(default_factory=dict)
    minimize: bool = False


@dataclass(frozen=True)
class Motion:
    """What moving and measuring cost the instrument, for policies that weigh cost."""

    settle_s: float = 0.0
    """Seconds to wait after each move."""
    dwell_s: float = 0.0
    """Seconds to measure one point."""
    diagonals_per_s: float = 0.0
    """Speed of a move in frame diagonals a second; 0: moves take no time."""


@dataclass(frozen=True)
class Told:
    """What became of a measurement."""

    observation: str
    """campaigns/{c}/observations/{o}."""
    is_acknowledged: bool
    """Whether the server has it on disk; otherwise it is in the outbox and is sent when the link is up."""
    score_state: str = ""
    """pending, scored, failed, none or retracted; empty when not acknowledged."""
    target: float = 0.0
    """Scalarized value in `target_unit`, when scored."""
    target_variance: float = 0.0
    """Variance of its measurement noise."""
    target_unit: str = ""
    is_late: bool = False
    """Whether the lease had ended; the data count all the same."""
    message: str = ""
    """Why scalarizing failed."""


@dataclass(frozen=True)
class Event:
    """One line of the journal."""

    seq: int
    kind: str
    """For example "Observed"."""
    time: float
    """Seconds since 1970 UTC."""
    principal: str
    """Who caused it."""
    payload: Dict[str, Any]
    """Without arrays."""
    hash: str


@dataclass(frozen=True)
class Budget:
    """What a campaign may spend; zero means unlimited."""

    probes: int = 0
    seconds: float = 0.0
    dose: float = 0.0
    core_hours: float = 0.0


@dataclass(frozen=True)
class Axis:
    """Coordinates of one dimension of a spectrum."""

    dim: str
    """Name of the dimension, for example "channel"."""
    values: Any
    """(n,) coordinates in `unit`: any buffer, numpy array or list."""
    unit: str = ""
    quantity: str = ""
    """What it is, for example "energy"."""


@dataclass(frozen=True)
class Influence:
    """What simulations do to the model: nothing until their numbers have proved their worth on measured patches."""

    weight: float
    """Share of the informed model in what is predicted, 0 to 0.9."""
    skill: float
    """Nats by which it foresaw a measurement better than the plain model, mean of the latest."""
    n_results: int
    """Computed numbers that are applied."""
    slopes: Dict[str, Tuple[float, float]] = field(default_factory=dict)
    """Slope and its SD by engine and quantity, target units per unit of the quantity; NaN while theory has no say."""


def word(enum: Any, value: int, prefix: str) -> str:
    """Return the lower-case word of an enum value of the contract, for example "planner"; its number when unknown."""
    if value not in enum.values():
        return str(int(value))
    name = str(enum.Name(value))
    return name[len(prefix) :].lower()


def to_point(suggestion: pb.Suggestion, degraded_reasons: Iterable[str] = ()) -> Point:
    """Return the point of a suggestion; reasons of the whole reply stand in where it names none itself."""
    return Point(
        y=suggestion.position.y,
        x=suggestion.position.x,
        name=suggestion.name,
        mean=suggestion.mean,
        std=suggestion.std,
        acquisition=suggestion.acquisition,
        noise_std=suggestion.noise_std,
        source=word(pb.SuggestionSource, suggestion.source, "SUGGESTION_SOURCE_"),
        degraded_reasons=tuple(suggestion.degraded_reasons) or tuple(degraded_reasons),
        settings={setting.name: setting.value for setting in suggestion.settings},
        setting_units={setting.name: setting.unit for setting in suggestion.settings},
        expires_in_s=suggestion.expires_in_s,
        frame=suggestion.position.frame,
        ordinal=int(suggestion.ordinal),
        model_version=int(suggestion.model_version),
        policy=suggestion.policy,
        novelty=suggestion.novelty,
        lease_token=suggestion.lease_token,
    )


def to_stop_report(stop: pb.StopReport) -> StopReport:
    """Return the record of a stop report."""
    return StopReport(word(pb.StopCause, stop.cause, "STOP_CAUSE_"), stop.message, stop.retry_after_s, stop.is_final)


def to_influence(reply: Any) -> Optional[Influence]:
    """Return what a Suggest or Step reply says of simulations; None when it says nothing."""
    if not reply.HasField("theory"):
        return None
    told = reply.theory
    slopes = {s.engine: (s.slope, s.slope_std) for s in told.slopes}
    return Influence(told.weight, told.skill, int(told.n_results), slopes)


def to_advice(advice: pb.StopAdvice) -> StopAdvice:
    """Return the record of what a stop rule says."""
    return StopAdvice(advice.rule, advice.is_met, advice.value, advice.bound, advice.unit, advice.message)


def to_told(observation: pb.Observation) -> Told:
    """Return what became of an acknowledged observation."""
    return Told(
        observation=observation.name,
        is_acknowledged=True,
        score_state=word(pb.ScoreState, observation.score_state, "SCORE_STATE_"),
        target=observation.target,
        target_variance=observation.target_variance,
        target_unit=observation.target_unit,
        is_late=observation.is_late,
        message=observation.score_message,
    )


def to_event(event: pb.Event) -> Event:
    """Return the record of a line of the journal."""
    payload = json.loads(event.payload_json) if event.payload_json else {}
    return Event(int(event.seq), event.kind, event.time, event.principal, payload, event.hash)
