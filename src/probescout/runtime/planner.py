"""All campaigns of one data directory: the planner as a library, of which the service is only the face."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from probescout.core.admission import Expectation
from probescout.core.clock import Clock, SystemClock
from probescout.core.errors import (
    AlreadyExists,
    HistoryMismatch,
    NotFound,
    ProbescoutError,
    Reason,
    Unavailable,
    WrongState,
)
from probescout.core.events import Created
from probescout.core.observations import ScoreState
from probescout.core.ports import BlobStore, EventStore
from probescout.core.specs import CampaignSpec, check_spec, checked_id
from probescout.runtime.driver import CampaignDriver
from probescout.runtime.ledger import Ledger
from probescout.runtime.once import Once, Request
from probescout.runtime.seats import FitPool, Seats
from probescout.runtime.settings import Settings
from probescout.runtime.theory_asking import TheoryAsker
from probescout.runtime.theory_broker import TheoryBroker
from probescout.runtime.theory_staff import TheoryStaff
from probescout.runtime.transferring import resolved
from probescout.runtime.works import expectation
from probescout.store.blobs import Blobs
from probescout.store.journal import Journal
from probescout.store.memory import MemoryBlobs, MemoryJournal
from probescout.store.models import Models

PATIENCE_S = 2.0
"""How long a call may still wait for its model when the planner closes."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Desk:
    """A campaign with the memory of its requests."""

    driver: CampaignDriver
    once: Once
    asker: TheoryAsker


class Planner:
    """Creates, recovers and finds campaigns."""

    def __init__(self, data: Path | None, settings: Settings | None = None, clock: Clock | None = None) -> None:
        """Prepare; `start` does the work.

        Args:
            data: Directory that holds all campaigns; None keeps them in memory.
            settings: Bounds and patience.
            clock: Where the time comes from.
        """
        self.settings = settings or Settings()
        self.clock: Clock = clock or SystemClock()
        self.seats = Seats(self.settings)
        self.pool = FitPool(self.settings)
        self.theory = TheoryBroker(self.clock)
        """The desk at which executors take the theory jobs of all campaigns."""
        self._staff = TheoryStaff(self.theory, self.settings, data / "theory-results" if data is not None else None)
        self._root = data / "campaigns" if data is not None else None
        self._models = Models(data / "models") if data is not None else None
        self._desks: dict[str, Desk] = {}
        self._damaged: dict[str, ProbescoutError] = {}
        self._creating = asyncio.Lock()

    async def start(self) -> None:
        """Recover every campaign on disk, and warm the worker and the fit pool.

        A campaign that cannot be opened does not keep the others from starting; its calls say what is wrong.
        """
        loop = asyncio.get_running_loop()
        if self._root is not None:
            try:
                self._root.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise Unavailable(
                    Reason.STORE_UNAVAILABLE, f"{self._root}: {error}; choose another --data", field="--data"
                ) from error
            for directory in sorted(p for p in self._root.iterdir() if p.is_dir()):
                try:
                    ledger = await loop.run_in_executor(None, self._recover, directory)
                    if ledger is not None:
                        self._seat(ledger)
                except WrongState:
                    # Another server works on this directory.
                    raise
                except ProbescoutError as error:
                    _log.error("campaign %s cannot be opened: %s", directory.name, error)
                    self._damaged[directory.name] = error
        self.seats.warm()
        self._staff.start()
        await self.pool.warm()
        for desk in self._desks.values():
            if any(o.score_state is ScoreState.PENDING for o in desk.driver.state.observations.values()):
                desk.driver.modeller.catch_up()

    def _recover(self, directory: Path) -> Ledger | None:
        store = Journal.open(directory)
        if store.head.seq == 0:
            # The server died between making the directory and its first event: nothing was ever acknowledged.
            store.close()
            return None
        blobs = Blobs.open(directory, max_blob_bytes=self.settings.max_blob_bytes)
        ledger = Ledger.recover(store, blobs, self.clock)
        if ledger.state.id != directory.name:
            ledger.close()
            raise HistoryMismatch(
                Reason.HISTORY_MISMATCH,
                f"the directory holds a copy of campaign '{ledger.state.id}'; move it away, or give it back that name",
            )
        ledger.directory = directory
        # Worked out here, in a thread: the first listing would hold up all other calls for a look at every observation.
        ledger.state.best()
        return ledger

    def _seat(self, ledger: Ledger, expect: Expectation | None = None) -> Desk:
        driver = CampaignDriver(ledger, self.seats, self.pool, self.clock, self.settings, expect)
        desk = self._desks[ledger.state.id] = Desk(driver, Once(ledger), TheoryAsker(driver))
        self.theory.add(ledger)
        return desk

    async def create(self, campaign_id: str, spec: CampaignSpec, request: Request) -> Desk:
        """Return a new campaign, or the one that the same request made before.

        Raises:
            InvalidInput: The spec can never work, or the request id was used for another body.
            AlreadyExists: CAMPAIGN_EXISTS.
            ProbescoutError: The model of an earlier campaign cannot be taken; see `transferring.resolved`.
        """
        # The id is made from the request id when the client gives none, so that a retry finds its campaign.
        name = campaign_id or "c-" + hashlib.sha256(request.id.encode()).hexdigest()[:12]
        checked_id(name, field="campaign_id")
        check_spec(spec)
        async with self._creating:
            if name in self._desks:
                if self._desks[name].once.find(request) is None:
                    raise AlreadyExists(
                        Reason.CAMPAIGN_EXISTS,
                        f"campaign '{name}' exists; choose another id, or go on with it by its name",
                        field="campaign_id",
                    )
                return self._desks[name]
            if name in self._damaged:
                raise self._damaged[name]
            loop, model = asyncio.get_running_loop(), None
            if spec.transfer is not None:
                spec, model = await loop.run_in_executor(None, resolved, spec, self._models)
            expect = await expectation(self.seats, spec)
            event = Created(name, spec, self.clock.now())
            ledger = await loop.run_in_executor(None, self._begin, event, request, model)
            return self._seat(ledger, expect)

    def _begin(self, event: Created, request: Request, model: bytes | None) -> Ledger:
        store: EventStore
        blobs: BlobStore
        directory = None
        if self._root is None:
            store, blobs = MemoryJournal(), MemoryBlobs()
        else:
            directory = self._root / event.campaign_id
            store = Journal.open(directory)
            blobs = Blobs.open(directory, max_blob_bytes=self.settings.max_blob_bytes)
        try:
            if model is not None:
                # Beside the journal that names it, so that nothing that happens to the registry changes the campaign.
                blobs.put(model)
            ledger = Ledger.begin(
                store, blobs, event, self.clock, principal=request.principal, receipt=request.receipt({})
            )
        except BaseException:
            store.close()
            raise
        ledger.directory = directory
        return ledger

    def desk(self, name: str, *, field: str = "campaign") -> Desk:
        """Return a campaign by id.

        Raises:
            NotFound: CAMPAIGN_NOT_FOUND.
            ProbescoutError: It could not be opened when the server started.
        """
        if name in self._desks:
            return self._desks[name]
        if name in self._damaged:
            error = self._damaged[name]
            raise type(error)(
                error.reason,
                f"campaign '{name}' could not be opened when the server started: {error.message}; `probescout inspect` "
                "shows what can be read. Mend it, then start the server again",
            )
        raise NotFound(
            Reason.CAMPAIGN_NOT_FOUND, f"there is no campaign '{name[:80]}'; ListCampaigns names them", field=field
        )

    def desks(self) -> list[Desk]:
        """Return all sound campaigns, oldest first."""
        return sorted(self._desks.values(), key=lambda d: (d.driver.state.created_time, d.driver.state.id))

    async def end_theory(self) -> None:
        """Hand out no more theory jobs and end those that run here; the journal keeps them for the next start."""
        await self._staff.stop()
        self.theory.close()
        await asyncio.gather(*(desk.asker.close() for desk in self._desks.values()))

    async def close(self) -> None:
        """Finish what is under way, then release everything."""
        await self.end_theory()
        await asyncio.gather(*(_close(desk) for desk in self._desks.values()))
        await self.seats.close()
        await self.pool.close()


async def _close(desk: Desk) -> None:
    """End one campaign; a call that waits for a model that hangs is answered without it."""
    try:
        await asyncio.wait_for(desk.once.idle(), PATIENCE_S)
    except TimeoutError:
        await desk.driver.modeller.poison()
        await desk.once.end(PATIENCE_S)
    await desk.driver.close()
