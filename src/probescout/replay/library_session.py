"""A campaign in this process, without server or network: the same planner used as a library."""

from __future__ import annotations

import asyncio
import math
import threading
import uuid
from collections import deque
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from probescout.core.candidates import CandidateSet
from probescout.core.errors import Reason, Unavailable
from probescout.core.events import FrameAdded
from probescout.core.geometry import Position
from probescout.core.leasing import seed_candidates
from probescout.core.observations import Observation, ObservationStatus, ScoreState, SignalRecord
from probescout.core.ports import FloatArray, Measurement
from probescout.core.specs import Budget, CampaignSpec, PluginSpec, SeedDesign, SeedKind
from probescout.core.spectra import Spectrum
from probescout.core.suggestions import Suggestion
from probescout.replay.session import MAPS, Answer, Asked, Declaration
from probescout.runtime.driver import Ask, CampaignDriver, Handed
from probescout.runtime.once import Request
from probescout.runtime.planner import Planner
from probescout.runtime.settings import Settings
from probescout.runtime.works import Caller

T = TypeVar("T")
CLIENT = "replay"
COMPUTE_BUDGET_S = 600.0
"""A fit is part of the wait here, and nobody else is kept waiting."""


class Library:
    """A planner in this process, on an event loop of its own so that it also works inside a notebook's.

    Example:
        >>> with Library() as library:
        ...     library.planner.desks()
        []
    """

    def __init__(self) -> None:
        """Prepare; entering starts it."""
        self.planner = Planner(None, Settings(is_inline=True, is_fit_awaited=True))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="planner", daemon=True)

    def __enter__(self) -> Library:
        """Start the planner."""
        self._thread.start()
        self.wait(self.planner.start())
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.wait(self.planner.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of work on the planner's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def open(self, declared: Declaration) -> LibrarySession:
        """Start a campaign."""
        return LibrarySession(self, declared)


class LibrarySession:
    """One campaign in this process."""

    def __init__(self, library: Library, declared: Declaration) -> None:
        """Start the campaign.

        Raises:
            InvalidInput: As the planner refuses the declaration.
        """
        self._library = library
        self._caller = Caller(CLIENT)
        self._waiting: deque[Suggestion] = deque()
        self._is_ended = False
        self._last: tuple[Observation, str] | None = None
        self._driver = library.wait(_start(library.planner, declared))

    def ask(self) -> Asked | None:
        """Return the next point; None at the end."""
        if not self._waiting and not self._is_ended:
            self._take(self._library.wait(self._driver.suggest(_ask(), self._caller)))
        if not self._waiting:
            return None
        s = self._waiting.popleft()
        return Asked(s.y, s.x, s.mean, s.std, s.source.value, s)

    def tell(self, asked: Asked, measurement: Measurement) -> None:
        """Hand in a measurement; a fit that is due is waited for here."""
        draft, spectrum = _draft(asked.handle, measurement)
        step = self._driver.step(draft, spectrum, asked.handle.token, _ask(), self._caller, self._caller)
        told, handed = self._library.wait(step)
        self._take(handed)
        self._last = (told.observation, measurement.error)

    def settle(self) -> Answer:
        """Return what became of the measurement told last; `tell` waits for fits."""
        assert self._last is not None
        kept, error = self._last
        if kept.score_state is not ScoreState.SCORED:
            return Answer(message=error or kept.score_message or kept.score_state.value)
        return Answer(kept.target, math.sqrt(kept.target_variance))

    def maps(self) -> dict[str, FloatArray]:
        """Return the maps (y, x) over all candidates."""
        maps = self._library.wait(_maps(self._driver))["maps"]
        return {name: np.asarray(maps[name], dtype=np.float64) for name in MAPS}

    def close(self) -> None:
        """Forget what was leased."""
        self._waiting.clear()
        self._is_ended = True

    def _take(self, handed: Handed) -> None:
        self._waiting.extend(handed.suggestions)
        if handed.suggestions:
            return
        if handed.stop is None or not handed.stop.is_final:
            why = handed.stop.message if handed.stop is not None else "; ".join(handed.degraded)
            raise Unavailable(Reason.WORKER_UNAVAILABLE, f"the planner gave no point: {why}")
        self._is_ended = True


def _ask() -> Ask:
    return Ask(1, CLIENT, COMPUTE_BUDGET_S)


async def _maps(driver: CampaignDriver) -> Any:
    return await driver.maps()


async def _start(planner: Planner, declared: Declaration) -> CampaignDriver:
    spec = CampaignSpec(
        scalarizer=PluginSpec(declared.scalarizer, declared.params),
        policy=PluginSpec(declared.policy, declared.policy_params),
        sample=declared.sample,
        instrument=declared.instrument,
        seed_design=SeedDesign(SeedKind.GIVEN, 0, tuple(Position(y, x) for y, x in declared.initial)),
        budget=Budget(probes=declared.budget),
        seed=declared.seed,
        is_deep_member_disabled=not declared.use_deep,
        members=declared.members,
    )
    desk = await planner.create(declared.campaign, spec, Request(str(uuid.uuid4()), "", CLIENT))
    driver = desk.driver
    height, width = declared.image.shape[-2:]
    candidates = CandidateSet.pixels(height, width)
    dims = ("y", "x") if declared.image.ndim == 2 else ("channel", "y", "x")
    frame = FrameAdded(
        "f1",
        planner.clock.now(),
        image=_stored(driver, declared.image, dims),
        mask=None if declared.mask is None else _stored(driver, declared.mask, ("y", "x")),
        height=height,
        width=width,
        n_candidates=candidates.n,
        pixel_size=declared.pixel_size_m or 0.0,
        pixel_unit="m" if declared.pixel_size_m else "",
        seeds=seed_candidates(spec, candidates.positions(), declared.mask),
    )
    await driver.add_frame(frame, Caller(CLIENT))
    # Without this the first measurement would come before there is a model that scores it.
    await driver.modeller.wake()
    return driver


def _stored(driver: CampaignDriver, values: np.ndarray[Any, Any], dims: tuple[str, ...]) -> SignalRecord:
    record, data = SignalRecord.of(Spectrum(values, dims))
    return replace(record, blob=driver.ledger.blobs.put(data).digest)


def _draft(suggestion: Suggestion, measurement: Measurement) -> tuple[Observation, Spectrum | None]:
    draft = Observation(
        id=f"o{suggestion.ordinal}",
        frame=suggestion.frame,
        y=measurement.y,
        x=measurement.x,
        frame_revision=0,
        suggestion=suggestion.id,
        dwell_s=measurement.dwell_s,
        dose=measurement.dose,
        client_id=CLIENT,
    )
    if measurement.error:
        return replace(draft, status=ObservationStatus.FAILED, message=measurement.error), None
    if measurement.scalar is not None:
        return replace(draft, value=measurement.scalar.value, value_variance=measurement.scalar.variance), None
    spectrum = measurement.spectrum
    assert spectrum is not None
    is_partial = spectrum.mask is not None and not spectrum.mask.all()
    return replace(draft, status=ObservationStatus.PARTIAL) if is_partial else draft, spectrum
