"""Simulations as people and the planner ask for them: what is checked and kept before a job is in the journal."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from probescout.core import jobs, own_jobs
from probescout.core.errors import InvalidInput, Reason, WrongState
from probescout.core.geometry import Position
from probescout.core.observations import SignalRecord
from probescout.core.plugin_spec import PluginSpec
from probescout.core.policy import Json
from probescout.core.specs import checked_id
from probescout.core.spectra import Spectrum
from probescout.core.state import Campaign
from probescout.core.theory_events import Job, TheoryQueued
from probescout.core.theory_spec import LONGEST_JOB_S
from probescout.runtime.ledger import Change
from probescout.runtime.theory_patches import Cut, Cutter, checked, pixel_size_m
from probescout.runtime.theory_results import canonical
from probescout.runtime.works import Caller, CampaignWorks
from probescout.store.blob_names import blob_name, is_digest

MAX_CHECKED = 64
"""Engines with settings that are remembered as sound."""


@dataclass(frozen=True)
class Wanted:
    """A simulation as it is asked for: of a position, of a patch of one's own, or of a structure."""

    id: str = ""
    """Empty: chosen here."""
    position: Position | None = None
    """In the newest frame revision; None, and no candidate: the numbers are evidence for nothing."""
    candidate: int = -1
    """Instead of a position, by those who know it."""
    engine: PluginSpec | None = None
    """None: that of the campaign."""
    patch: NDArray[Any] | None = None
    """(y, x); None: cut from the frame."""
    patch_pixel_m: float = 0.0
    """Edge of a pixel of `patch`, metres; 0: that of the frame."""
    structure: Json | None = None
    """What the engine runs, when known."""
    deadline_s: float = 0.0
    """0: that of the campaign."""
    key: str = ""
    reason: str = ""
    is_automatic: bool = False


class Theorizing(CampaignWorks):
    """Asks for simulations, vetoes them, and takes their numbers back."""

    _cutter: Cutter | None = None
    _sound: tuple[str, ...] = ()
    """Engines whose settings were checked, newest last."""

    async def submit_job(self, wanted: Wanted, caller: Caller) -> Job:
        """Journal a job and return it; one whose numbers are known has ended with them already.

        Raises:
            As `core.jobs.submit` and, for one of the planner's own, `core.own_jobs.submit`; InvalidInput for an engine,
            settings, a position or a structure that cannot be.
        """
        submit = own_jobs.submit if wanted.is_automatic else jobs.submit
        asked, data = await self._asked(wanted)
        # What is refused for other reasons leaves nothing on disk.
        submit(self.state, asked if wanted.id else replace(asked, job=jobs.free_id(self.state)))
        await asyncio.get_running_loop().run_in_executor(None, self.ledger.blobs.put, data)

        def decide(state: Campaign) -> list[Change]:
            nonlocal asked
            if not wanted.id:
                asked = replace(asked, job=jobs.free_id(state))
            return [Change(event) for event in submit(state, asked)]

        await self._commit(decide, caller, lambda: {"job": asked.job})
        return self.state.jobs[asked.job]

    async def _asked(self, wanted: Wanted) -> tuple[TheoryQueued, bytes]:
        """Return the event of a job, and the bytes of the patch or structure that it names."""
        state = self.state
        theory = jobs.declared(state)
        if wanted.id:
            checked_id(wanted.id, field="job_id")
        engine = wanted.engine or theory.engine
        deadline_s = wanted.deadline_s or theory.deadline_s
        if not 1.0 <= deadline_s <= LONGEST_JOB_S:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"deadline of {deadline_s} s; give 1 to {LONGEST_JOB_S:g} s",
                field="job.deadline_s",
            )
        if wanted.key and not is_digest(wanted.key):
            raise InvalidInput(
                Reason.FIELD_INVALID, f"'{wanted.key[:80]}' is no key: 64 hex digits, or nothing", field="job.key"
            )
        await self._check_engine(engine)
        asked = TheoryQueued(
            wanted.id or jobs.free_id(state),
            engine,
            "",
            deadline_s,
            theory.max_attempts,
            self._clock.now(),
            candidate=wanted.candidate if wanted.position is None else self._candidate(wanted.position),
            key=wanted.key,
            reason=wanted.reason,
            is_automatic=wanted.is_automatic,
        )
        if wanted.structure is not None:
            return _of_structure(asked, wanted.structure)
        return _of_patch(asked, await self._cut(state, wanted, asked.candidate))

    def _candidate(self, position: Position) -> int:
        state = self.state
        if state.frame is None or state.candidates is None:
            raise WrongState(Reason.NO_FRAME, f"campaign '{state.id}' has no frame yet; call AddFrame first")
        # NaN is inside of nothing.
        at = Position(*state.frame.to_image(position.y, position.x, 0))
        if not (position.is_inside and at.is_inside):
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"({position.y:.6g}, {position.x:.6g}) is outside the frame; give fractions from 0 to 1",
                field="job.position",
            )
        return state.candidates.nearest(at.y, at.x)

    async def _cut(self, state: Campaign, wanted: Wanted, candidate: int) -> Cut:
        if wanted.patch is not None:
            pixel = wanted.patch_pixel_m
            if not pixel and state.frame is not None:
                pixel = pixel_size_m(state.frame)
            return checked(Cut(wanted.patch, pixel))
        if candidate < 0:
            raise InvalidInput(
                Reason.FIELD_MISSING, "give a position, a patch or a structure to simulate", field="job.position"
            )
        self._cutter = self._cutter or Cutter(self.ledger.blobs)
        # Reading the image takes as long as its disk; slicing it takes nothing, and a worker would need all of it.
        return await asyncio.get_running_loop().run_in_executor(None, self._cutter.cut, state, candidate)

    async def _check_engine(self, engine: PluginSpec) -> None:
        """Have a worker build the engine, once for the same settings: no plug-in is imported here."""
        text = _text({"name": engine.name, "params": dict(engine.params)}).decode()
        if text not in self._sound:
            theory = {"engine": {"name": engine.name, "params": dict(engine.params)}, "field": "job"}
            await self._seats.ask("validate", theory=theory)
            self._sound = (*self._sound, text)[-MAX_CHECKED:]

    async def cancel_job(self, name: str, reason: str, caller: Caller) -> None:
        """Veto a job, waiting or at work; doing so again changes nothing.

        Raises:
            As `core.jobs.cancel`.
        """
        await self._commit(
            lambda state: [Change(e) for e in jobs.cancel(state, name, reason, self._clock.now())], caller
        )

    async def set_evidence(self, name: str, is_applied: bool, reason: str, caller: Caller) -> None:
        """Apply the numbers of a job, or take them back.

        Raises:
            As `core.jobs.set_evidence`.
        """
        await self._commit(
            lambda state: [Change(e) for e in jobs.set_evidence(state, name, is_applied, reason)], caller
        )


def _text(value: Any) -> bytes:
    try:
        return canonical(value).encode()
    except (TypeError, ValueError) as error:
        raise InvalidInput(Reason.FIELD_INVALID, f"not strict JSON: {error}", field="job.structure_json") from error


def _of_structure(asked: TheoryQueued, structure: Json) -> tuple[TheoryQueued, bytes]:
    """Return the event of a job with what it runs, and the bytes of that."""
    data = _text(structure)
    sha = hashlib.sha256(data).hexdigest()
    return replace(asked, structure=blob_name(sha), digest=_digest(asked.engine, [sha])), data


def _of_patch(asked: TheoryQueued, cut: Cut) -> tuple[TheoryQueued, bytes]:
    """Return the event of a job with its patch, and the bytes of that."""
    record, data = SignalRecord.of(Spectrum(cut.image, ("y", "x")))
    record = replace(record, blob=hashlib.sha256(data).hexdigest())
    digest = _digest(asked.engine, [record.blob, record.dtype, record.shape, cut.pixel_size_m, cut.place])
    return replace(asked, patch=record, pixel_size_m=cut.pixel_size_m, place=cut.place, digest=digest), data


def _digest(engine: PluginSpec, what: list[Any]) -> str:
    """Return the digest of everything that decides the numbers, short of the versions of engine and library."""
    return hashlib.sha256(_text([engine.name, dict(engine.params), *what])).hexdigest()
