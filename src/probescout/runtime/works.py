"""What every part of a campaign driver stands on: ledger, model, leases, and obeying the machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.admission import Expectation
from probescout.core.clock import Clock
from probescout.core.events import Event, Leased, Observed, Renewed, Returned, Updated
from probescout.core.instructions import EvidenceChanged, Instruction, LoadFrame, Reconfigure, Relearn, Rescore
from probescout.core.jsonable import to_json
from probescout.core.ports import Receipt
from probescout.core.specs import CampaignSpec
from probescout.core.state import Campaign
from probescout.runtime.leases import Leases
from probescout.runtime.ledger import Change, Commit, Decide, Ledger, MakeReceipt, load_array
from probescout.runtime.minding import SYSTEM
from probescout.runtime.modeller import Modeller
from probescout.runtime.seats import FitPool, Seats
from probescout.runtime.settings import Settings

Facts = Mapping[str, Any]
"""What a call did, as JSON values: enough to give its first reply again."""


@dataclass(frozen=True)
class Caller:
    """Who calls, and how the call is to be remembered."""

    principal: str = "local"
    receipt: Callable[[Facts], MakeReceipt] | None = None
    """Makes the receipt of the call from what it did."""


class CampaignWorks:
    """One campaign's ledger, model and leases."""

    def __init__(
        self, ledger: Ledger, seats: Seats, pool: FitPool, clock: Clock, settings: Settings, expect: Expectation | None
    ) -> None:
        """Wrap a recovered or new campaign."""
        self.ledger = ledger
        self.modeller = Modeller(ledger, seats, pool, settings)
        self.leases = Leases(clock, self._expire)
        self._settings = settings
        self._clock = clock
        self._seats = seats
        self._expect = expect
        self._plan_lock = asyncio.Lock()
        self._under_way: dict[str, asyncio.Event] = {}
        """Observations that are being told."""
        self._last_lease = -float("inf")
        self._mask: NDArray[np.bool_] | None = None
        self._load_mask()
        ledger.on_commit = self._follow
        # After a restart nobody knows how long clients have waited: every lease gets one full period of grace.
        self.leases.grant(self.state.suggestions[name] for name in self.state.pending)

    @property
    def state(self) -> Campaign:
        """The campaign as committed."""
        return self.ledger.state

    def _load_mask(self) -> None:
        frame = self.state.frame
        if frame is not None and frame.added.mask is not None:
            self._mask = load_array(self.ledger.blobs, frame.added.mask).astype(bool)

    async def _expire(self, names: tuple[str, ...]) -> None:
        def decide(state: Campaign) -> list[Change]:
            # Measured, released or renewed while earlier commits were written?
            still = tuple(n for n in names if n in state.pending and not self.leases.left(n))
            return [Change(Returned(still, is_expired=True, reason="the lease ran out"))] if still else []

        await self._commit(decide, Caller(SYSTEM))

    async def _commit(
        self, changes: Sequence[Change] | Decide, caller: Caller, facts: Callable[[], Facts] = dict
    ) -> Commit:
        """Commit; `facts` are asked for the receipt once the changes are decided."""
        make = caller.receipt

        def receipt(seq: int, state: Campaign) -> Receipt:
            assert make is not None
            return make(facts())(seq, state)

        return await self.ledger.commit(changes, principal=caller.principal, receipt=receipt if make else None)

    def _follow(self, events: Sequence[Event], instructions: Sequence[Instruction]) -> None:
        """Keep leases and model in step with what was committed, by whomever."""
        for event in events:
            if isinstance(event, Leased):
                self.leases.grant(event.suggestions)
                self._last_lease = self._clock.monotonic()
            elif isinstance(event, Renewed):
                self.leases.grant(self.state.suggestions[n] for n in event.suggestions if n in self.state.pending)
            elif isinstance(event, Returned):
                self.leases.drop(event.suggestions)
            elif isinstance(event, Updated):
                # What the new scalarizer takes is asked again before the next data are admitted.
                self._expect = None
            elif isinstance(event, Observed) and event.observation.suggestion not in self.state.pending:
                self.leases.drop([event.observation.suggestion])
        for instruction in instructions:
            self._obey(instruction)

    def _obey(self, instruction: Instruction) -> None:
        if isinstance(instruction, LoadFrame):
            self._load_mask()
            self.modeller.wake()
        elif isinstance(instruction, Rescore):
            self.modeller.rescore()
        elif isinstance(instruction, Relearn):
            self.modeller.relearn()
        elif isinstance(instruction, Reconfigure):
            self.modeller.reconfigure()
        elif isinstance(instruction, EvidenceChanged):
            self.modeller.evidence_changed(is_more=instruction.is_more)

    async def close(self) -> None:
        """Finish what is under way and release the journal."""
        self.leases.close()
        await self.modeller.sleep()
        self.ledger.close()


async def expectation(seats: Seats, spec: CampaignSpec) -> Expectation:
    """Return what the scalarizer of a spec takes, after building its plug-ins once in a spare worker.

    Raises:
        InvalidInput: A plug-in, member or stop rule is unknown, or parameters are wrong.
    """
    reply = await seats.ask(
        "validate",
        scalarizer={"name": spec.scalarizer.name, "params": dict(spec.scalarizer.params)},
        policy={"name": spec.policy.name, "params": dict(spec.policy.params)},
        members=list(spec.members),
        is_deep_member_disabled=spec.is_deep_member_disabled,
        stop_rules=[rule.name for rule in spec.stop_rules],
        objectives=[to_json(objective) for objective in spec.objectives],
        **({"theory": to_json(spec.theory)} if spec.theory is not None else {}),
    )
    return Expectation(reply["n_dims"], reply["axis_unit"])
