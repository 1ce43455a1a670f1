"""What every part of a campaign driver stands on: ledger, model, leases, and obeying the machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.admission import Expectation
from probescout.core.campaign import Instruction, LoadFrame, Reconfigure, Relearn, Rescore
from probescout.core.clock import Clock
from probescout.core.events import Returned
from probescout.core.specs import CampaignSpec
from probescout.core.state import Campaign
from probescout.runtime.leases import Leases
from probescout.runtime.ledger import Change, Commit, Ledger, MakeReceipt, load_array
from probescout.runtime.modeller import SYSTEM, Modeller
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
        self._last_lease = -float("inf")
        self._mask: NDArray[np.bool_] | None = None
        self._work: set[asyncio.Task[None]] = set()
        self._load_mask()
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
        still = tuple(n for n in names if n in self.state.pending)
        if still:
            await self._commit([Change(Returned(still, is_expired=True, reason="the lease ran out"))], Caller(SYSTEM))

    async def _commit(self, changes: list[Change], caller: Caller, facts: Facts | None = None) -> Commit:
        receipt = caller.receipt(facts or {}) if caller.receipt is not None else None
        commit = await self.ledger.commit(changes, principal=caller.principal, receipt=receipt)
        for instruction in commit.instructions:
            self._obey(instruction)
        return commit

    def _obey(self, instruction: Instruction) -> None:
        if isinstance(instruction, LoadFrame):
            self._load_mask()
            self.modeller.wake()
            return
        deeds = {
            Rescore: self.modeller.rescore,
            Relearn: self.modeller.relearn,
            Reconfigure: self.modeller.reconfigure,
        }
        deed = deeds.get(type(instruction))
        if deed is not None:
            task = asyncio.create_task(deed())
            self._work.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # What failed half-way is done anew from the journal.
            self.modeller.wake()

    async def close(self) -> None:
        """Finish what is under way and release the journal."""
        self.leases.close()
        if self._work:
            await asyncio.wait(self._work, timeout=5.0)
        await self.modeller.sleep()
        self.ledger.close()


async def expectation(seats: Seats, spec: CampaignSpec) -> Expectation:
    """Return what the scalarizer of a spec takes, after building its plug-ins once in a spare worker.

    Raises:
        InvalidInput: A plug-in is unknown or its parameters are wrong.
    """
    reply = await seats.ask(
        "validate",
        scalarizer={"name": spec.scalarizer.name, "params": dict(spec.scalarizer.params)},
        policy={"name": spec.policy.name, "params": dict(spec.policy.params)},
    )
    return Expectation(reply["n_dims"], reply["axis_unit"])
