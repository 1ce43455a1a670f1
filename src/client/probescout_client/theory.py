"""Simulations of chosen patches: asked for, watched, vetoed, and their numbers taken back."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, Optional, Tuple

from probescout_client.blobs import with_blob
from probescout_client.errors import InvalidInput
from probescout_client.points import Influence, word
from probescout_client.session import Session
from probescout_client.specs import to_json
from probescout_client.tensors import to_tensor
from probescout_client.wire.v1 import probescout_pb2 as pb


@dataclass(frozen=True)
class TheoryPlan:
    """Which simulations a campaign runs; zeros are the server's defaults.

    Example:
        >>> TheoryPlan("xtb", "formation_energy", {"charge": 0}, window_m=1.5e-9).quantity
        'formation_energy'
    """

    engine: str
    """Installed engine."""
    quantity: str
    """Computed number that informs the model."""
    settings: Dict[str, Any] = field(default_factory=dict)
    """Of the engine."""
    window_m: float = 0.0
    """Edge of the square patch around a position, metres."""
    deadline_s: float = 0.0
    """Longest that a job may run."""
    lease_s: float = 0.0
    """A worker that has not reported for so long has lost its job."""
    max_attempts: int = 0
    """Tries of a job that crashed or was lost."""
    max_running: int = 0
    """Most jobs at work at once."""
    automatic: bool = True
    """Whether the planner chooses patches by itself."""


@dataclass(frozen=True)
class Quantity:
    """One computed number."""

    value: float
    """In `unit`."""
    unit: str
    std: float
    """What the engine says of its error; NaN when it says nothing."""


@dataclass(frozen=True)
class TheoryJob:
    """A simulation as it stands."""

    name: str
    """campaigns/{c}/theoryJobs/{j}."""
    state: str
    """queued, running, succeeded, failed or cancelled."""
    engine: str
    settings: Dict[str, Any]
    position: Optional[Tuple[float, float]] = None
    """(y, x) that its numbers are evidence for; None: they are evidence for nothing."""
    results: Dict[str, Quantity] = field(default_factory=dict)
    """Numbers by name, once it has succeeded."""
    is_applied: Optional[bool] = None
    """Whether its numbers inform the model; None before there are any."""
    failure: str = ""
    """Why it failed, for a program: for example "not_converged"."""
    message: str = ""
    """Why it ended as it did, for a person."""
    attempt: int = 0
    """Times that a worker took it."""
    progress: float = 0.0
    """0 to 1, while it runs."""
    progress_message: str = ""
    """What its worker said last."""
    worker: str = ""
    core_hours: float = 0.0
    """Spent so far; while it runs, reserved."""
    wall_s: float = 0.0
    key: str = ""
    """Digest of structure, engine, settings and versions."""
    cached_from: str = ""
    """Job whose numbers these are; empty: they were computed."""
    reason: str = ""
    """Why it was asked for."""
    is_automatic: bool = False
    """Whether the planner chose it."""
    queued_time: float = 0.0
    """Seconds since 1970 UTC."""
    ended_time: float = 0.0

    @property
    def is_ended(self) -> bool:
        """Whether nothing follows any more."""
        return self.state not in ("queued", "running")


class Theory:
    """The simulations of one campaign."""

    def __init__(self, session: Session) -> None:
        """Work on the campaign of a session."""
        self._session = session

    @property
    def influence(self) -> Optional[Influence]:
        """What they do to the model, by the latest reply with points; None without any results."""
        return self._session.influence

    def submit(
        self,
        position: Optional[Tuple[float, float]] = None,
        *,
        structure: Optional[Dict[str, Any]] = None,
        patch: Any = None,
        pixel_size: Optional[Tuple[float, str]] = None,
        engine: str = "",
        settings: Optional[Dict[str, Any]] = None,
        deadline_s: float = 0.0,
        reason: str = "",
        job: str = "",
    ) -> TheoryJob:
        """Ask for a simulation and return the job; one whose numbers are known has ended with them already.

        Args:
            position: (y, x) fractions; the server cuts the patch around it unless one or a structure is given.
            structure: What the engine runs, for atoms: symbols, positions in angstrom, cell, pbc.
            patch: (y, x) window of your own.
            pixel_size: (value, unit) of the edge of a pixel of `patch`; None: that of the frame.
            engine: Installed engine; empty: that of the campaign, with its settings.
            settings: Of `engine`.
            deadline_s: Longest that it may run; 0: that of the campaign.
            reason: Kept in the journal.
            job: Id; empty: the server chooses.

        Raises:
            InvalidInput: A position outside the frame, unknown settings, pixels without a size; the field says which.
            AlreadyExists: JOB_EXISTS when the id belongs to another simulation.
            WrongState: CAMPAIGN_ENDED, or BUDGET_SPENT when no core-hours are left.
            Overloaded: QUEUE_FULL when so many wait that the patience of the connection runs out first.
        """
        if settings is not None and not engine:
            raise InvalidInput("FIELD_MISSING", "settings belong to an engine; name it too", "engine")
        wanted = pb.TheoryJob(engine=engine, deadline_s=deadline_s, reason=reason)
        if engine:
            wanted.settings_json = to_json(settings, "settings")
        if position is not None:
            wanted.position.CopyFrom(pb.Position(y=float(position[0]), x=float(position[1])))
        if structure is not None:
            wanted.structure_json = to_json(structure, "structure")
        if patch is not None:
            wanted.patch.CopyFrom(to_tensor(patch, ("y", "x")))
            with_blob(
                self._session.connection, self._session.campaign, wanted.patch, self._session.connection.patience_s
            )
        if pixel_size is not None:
            wanted.pixel_size.CopyFrom(pb.Length(value=float(pixel_size[0]), unit=pixel_size[1]))
        request = pb.SubmitTheoryJobRequest(
            request_id=str(uuid.uuid4()), campaign=self._session.campaign, job_id=job, job=wanted
        )
        return self._changed("SubmitTheoryJob", request)

    def jobs(self, state: str = "", page_size: int = 100) -> Iterator[TheoryJob]:
        """Yield every job, or those "queued", "running", "succeeded", "failed" or "cancelled", oldest first."""
        request = pb.ListTheoryJobsRequest(campaign=self._session.campaign, page_size=page_size)
        if state:
            name = "THEORY_JOB_STATE_" + state.upper()
            if name not in pb.TheoryJobState.keys():
                known = [word(pb.TheoryJobState, n, "THEORY_JOB_STATE_") for n in pb.TheoryJobState.values() if n]
                raise InvalidInput(
                    "FIELD_INVALID", "no state '{}'; there are {}".format(state, ", ".join(known)), "state"
                )
            request.state = getattr(pb, name)
        while True:
            reply = self._call("ListTheoryJobs", request)
            for job in reply.jobs:
                yield to_theory_job(job)
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    def cancel(self, job: str, reason: str = "") -> TheoryJob:
        """Veto a job by name, waiting or at work; doing so again changes nothing.

        Raises:
            NotFound: JOB_NOT_FOUND.
            WrongState: JOB_STATE_MISMATCH when it has ended otherwise.
        """
        request = pb.CancelTheoryJobRequest(request_id=str(uuid.uuid4()), name=job, reason=reason)
        return self._changed("CancelTheoryJob", request)

    def retract(self, job: str, reason: str) -> TheoryJob:
        """Take the numbers of a job back: the model is again what it was without them.

        Raises:
            NotFound: JOB_NOT_FOUND.
            WrongState: JOB_STATE_MISMATCH for a job that gave no numbers.
        """
        return self._set_evidence(job, pb.EVIDENCE_STATE_RETRACTED, reason)

    def apply(self, job: str, reason: str = "") -> TheoryJob:
        """Let the numbers of a job inform the model again.

        Raises:
            As `retract`.
        """
        return self._set_evidence(job, pb.EVIDENCE_STATE_APPLIED, reason)

    def _set_evidence(self, job: str, state: pb.EvidenceState, reason: str) -> TheoryJob:
        request = pb.SetEvidenceStateRequest(request_id=str(uuid.uuid4()), name=job, state=state, reason=reason)
        return self._changed("SetEvidenceState", request)

    def _changed(self, name: str, request: Any) -> TheoryJob:
        reply = self._call(name, request)
        self._session.learn_version(reply.version)
        return to_theory_job(reply.job)

    def _call(self, name: str, request: Any) -> Any:
        return self._session.call(name, request, self._session.connection.patience_s)


def to_theory_job(job: pb.TheoryJob) -> TheoryJob:
    """Return the record of a job."""
    evidence = {pb.EVIDENCE_STATE_APPLIED: True, pb.EVIDENCE_STATE_RETRACTED: False}
    return TheoryJob(
        name=job.name,
        state=word(pb.TheoryJobState, job.state, "THEORY_JOB_STATE_"),
        engine=job.engine,
        settings=json.loads(job.settings_json) if job.settings_json else {},
        position=(job.position.y, job.position.x) if job.HasField("position") else None,
        results={q.name: Quantity(q.value, q.unit, q.std) for q in job.results},
        is_applied=evidence.get(job.evidence_state),
        failure=job.failure,
        message=job.message,
        attempt=int(job.attempt),
        progress=job.progress,
        progress_message=job.progress_message,
        worker=job.worker_id,
        core_hours=job.core_hours,
        wall_s=job.wall_s,
        key=job.key,
        cached_from=job.cached_from,
        reason=job.reason,
        is_automatic=job.is_automatic,
        queued_time=job.queued_time,
        ended_time=job.ended_time,
    )


def to_theory(plan: Optional[TheoryPlan]) -> Optional[pb.TheorySpec]:
    """Return the message of what a campaign declares; None when it declares nothing."""
    if plan is None:
        return None
    return pb.TheorySpec(
        engine=plan.engine,
        settings_json=to_json(plan.settings, "settings"),
        quantity=plan.quantity,
        window_m=plan.window_m,
        deadline_s=plan.deadline_s,
        lease_s=plan.lease_s,
        max_attempts=plan.max_attempts,
        max_running=plan.max_running,
        is_automatic_disabled=not plan.automatic,
    )
