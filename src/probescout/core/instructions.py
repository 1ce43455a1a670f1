"""What the campaign machine asks for beside a new state; `probescout.runtime` obeys it."""

from __future__ import annotations

from dataclasses import dataclass

from probescout.core.state import Campaign


@dataclass(frozen=True)
class LoadFrame:
    """Give the image to the model."""


@dataclass(frozen=True)
class Score:
    """Scalarize an observation, teach the model, and report with a Scored event."""

    observation: str


@dataclass(frozen=True)
class Rescore:
    """Scalarize all stored signals anew."""


@dataclass(frozen=True)
class Relearn:
    """Rebuild the model from the stored targets."""


@dataclass(frozen=True)
class Reconfigure:
    """The policy or another part of the spec changed."""


@dataclass(frozen=True)
class EvidenceChanged:
    """Follow `core.jobs.evidence`: some was applied or taken back, or another number informs the model."""

    is_more: bool = False
    """Nothing was taken back: a result came in, which may be learnt a little later with others."""


Instruction = LoadFrame | Score | Rescore | Relearn | Reconfigure | EvidenceChanged
Outcome = tuple[Campaign, tuple[Instruction, ...]]
