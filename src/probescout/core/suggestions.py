"""Positions leased to clients, and those that people ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property


class Source(StrEnum):
    """Where a suggestion comes from."""

    PLANNER = "planner"
    PREFETCH = "prefetch"
    FALLBACK = "fallback"
    SEED_DESIGN = "seed_design"
    OPERATOR = "operator"


class SuggestionState(StrEnum):
    """What became of a suggestion."""

    PENDING = "pending"
    MEASURED = "measured"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Suggestion:
    """A position leased to a client."""

    id: str
    frame: str
    """Id of the frame."""
    y: float
    x: float
    candidate: int
    """Index in the candidate set."""
    token: str
    """Proves who holds the lease."""
    lease_s: float
    source: Source
    client_id: str = ""
    mean: float = math.nan
    """Predicted target, in target units; NaN before the model knows anything."""
    std: float = math.nan
    predictive_std: float = math.nan
    acquisition: float = math.nan
    exploit: float = math.nan
    """Part of the acquisition that comes from the mean."""
    explore: float = math.nan
    """Part that comes from the uncertainty."""
    novelty: float = math.nan
    """0 to 1: share of the prior variance that nothing measured explains."""
    policy: str = ""
    """Policy that chose it, or the stage of it that did; empty when none did."""
    model_version: int = 0
    data_version: int = 0
    ordinal: int = 0
    degraded: tuple[str, ...] = ()
    """Why it did not come from the newest model; empty when it did."""
    state: SuggestionState = SuggestionState.PENDING


@dataclass(frozen=True)
class OperatorPoint:
    """A candidate that a person wants measured."""

    id: str
    candidate: int
    note: str = ""
    is_urgent: bool = False
    proposed_time: float = 0.0
    suggestion: str = ""
    """The open lease that it is handed out with; empty while it waits."""


class PointLine(tuple[OperatorPoint, ...]):
    """Points in the order of handing out, that quickly says whether an event concerns any: most concern none."""

    @cached_property
    def candidates(self) -> frozenset[int]:
        """All candidates in the line."""
        return frozenset(p.candidate for p in self)
