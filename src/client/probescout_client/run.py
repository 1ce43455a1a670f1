"""The loop at the instrument: points come out, measurements go back."""

from __future__ import annotations

import logging
import time
import uuid
from typing import Any, Iterator, Optional, Sequence, Tuple

from probescout_client.connection import Connection
from probescout_client.courier import Courier
from probescout_client.errors import InvalidInput, ProbescoutError, SafetyError, Unavailable
from probescout_client.held import RELEASE_PATIENCE_S, HeldPoints
from probescout_client.identity import Identity
from probescout_client.leases import LeaseKeeper
from probescout_client.measurements import add_spectrum, add_value, to_observation
from probescout_client.outbox import Outbox
from probescout_client.points import Point, StopReport, Told, to_advice, to_influence, to_point, to_stop_report, to_told
from probescout_client.safety import SafetyLimits, from_limits
from probescout_client.session import RunOptions, Session
from probescout_client.steering import Steering
from probescout_client.wire.v1 import probescout_pb2 as pb

log = logging.getLogger("probescout_client")

PAUSE_LOOK_S = 0.5
"""Seconds between looks at a paused campaign, when the server names none."""
MAX_COUNT = 64

_STATUS_OF_CAUSE = {
    pb.STOP_CAUSE_PAUSED: pb.CAMPAIGN_STATUS_PAUSED,
    pb.STOP_CAUSE_STOPPED: pb.CAMPAIGN_STATUS_STOPPED,
    pb.STOP_CAUSE_ABORTED: pb.CAMPAIGN_STATUS_ABORTED,
}


class Run(Steering):
    """One instrument's part in a campaign.

    Iterate over it to get points; call `tell` for each. Leaving the loop gives back what was not told. The iterator
    waits while the campaign is paused and ends on stop, abort or an exhausted budget (see `stop_report`). One thread
    iterates and tells; any thread may control, look or close.
    """

    def __init__(
        self,
        connection: Connection,
        campaign: pb.Campaign,
        identity: Identity,
        outbox: Outbox,
        options: Optional[RunOptions] = None,
        safety: Optional[SafetyLimits] = None,
        is_resumed: bool = False,
    ) -> None:
        """Take part in a campaign; use Planner.start or Planner.resume instead.

        Args:
            connection: Link to the server.
            campaign: As created or read.
            identity: Under which it holds leases; closed with the run.
            outbox: Where its measurements wait for acknowledgement.
            options: How the run behaves on this computer.
            safety: Limits on top of those that the campaign declares.
            is_resumed: Whether leases from before a crash may be left, to be handed out first.
        """
        super().__init__(Session(connection, campaign, identity, options or RunOptions()))
        self.limits = (safety or SafetyLimits()).merged(from_limits(campaign.spec.limits))
        self._keeper = LeaseKeeper(self._session, self._on_contact)
        self._courier = Courier(self._session, outbox, self._keeper.drop)
        self._held = HeldPoints(self._session, self._keeper)
        self._previous: Optional[Tuple[float, float]] = None
        self._stop: Optional[StopReport] = None
        self._is_adopting = is_resumed
        if self._session.options.park_after_s is not None:
            self._keeper.start()

    def __iter__(self) -> Iterator[Point]:
        """Yield points until the campaign ends; leaving the loop releases every lease that was not used."""
        try:
            while True:
                point = self.ask()
                if point is None:
                    return
                yield point
        finally:
            self.release_all("the loop was left")

    def ask(self) -> Optional[Point]:
        """Return the next point to measure, or None when the loop ends; waits while the campaign is paused.

        Raises:
            SafetyError: When the point lies outside the limits; it is given back and nothing has moved.
            Unavailable: When no server was found for `give_up_after_s`.
            ProbescoutError: As the server answers, or as a background thread or a callback failed.
        """
        try:
            return self._ask()
        except Unavailable:
            # Closing from another thread ends a wait in this way: the loop ends, nothing is wrong.
            if self._session.closed.is_set():
                return None
            raise

    def _ask(self) -> Optional[Point]:
        session = self._session
        while not session.closed.is_set():
            session.raise_failure()
            if session.is_stopping:
                self._held.release(self._held.take_all(), "the campaign ended")
                return None
            if session.is_paused:
                self._await_resume()
                continue
            if self._is_adopting:
                self._held.adopt(session.options.give_up_after_s)
                self._is_adopting = False
            point = self._held.take()
            if point is not None:
                self._check(point)
                self._previous = (point.y, point.x)
                return point
            if self._stop is None:
                self._suggest()
                continue
            stop, self._stop = self._stop, None
            if stop.is_final:
                return None
            session.wait(stop.retry_after_s or PAUSE_LOOK_S)
        return None

    def tell(
        self,
        point: Point,
        spectrum: Any = None,
        *,
        axis: Optional[Sequence[Any]] = None,
        axes: Optional[Sequence[Any]] = None,
        dims: Optional[Sequence[str]] = None,
        unit: str = "",
        counts: Optional[bool] = None,
        mask: Any = None,
        value: Optional[float] = None,
        variance: Optional[float] = None,
        scalarizer: Optional[str] = None,
        **details: Any,
    ) -> Told:
        """Hand in a measurement; the next suggestion comes back with the acknowledgement.

        It is on this computer's disk before it is sent. While the link is down it waits there, and this returns.

        Args:
            point: What was measured.
            spectrum: Raw signal: any buffer, numpy array or nested lists.
            axis: (values, unit) of its only axis, for example (energy, "eV").
            axes: For more axes: (dim, values, unit) or Axis, one each.
            dims: Names of its axes; needed only for more than one axis without `axes`.
            unit: Unit of the signal.
            counts: Whether the signal holds detector counts; None: unknown.
            mask: As the signal, true where an element is valid.
            value: Already scalarized value, instead of `spectrum`.
            variance: Its variance; None: unknown.
            scalarizer: What made `value`; None: the campaign's scalarizer.
            **details: measured_at=(y, x), frame_revision, dwell_s, dose, cost_s, settings, observation_id,
                measured_time.

        Raises:
            InvalidInput: Neither or both of spectrum and value; or the server refuses the data, which are then kept in
                the outbox folder under "rejected".
            ProbescoutError: As the server answers.
        """
        if (spectrum is None) == (value is None):
            raise InvalidInput("FIELD_INVALID", "give either a spectrum or a value to tell()", "observation")
        observation = to_observation(self.name, point, self._session.client_id, **details)
        if value is not None:
            add_value(observation, value, variance, scalarizer or self._session.scalarizer)
        else:
            add_spectrum(observation, spectrum, dims, axis, axes, unit, counts, mask)
        return self._deliver(observation)

    def observe(self, y: float, x: float, spectrum: Any = None, frame: str = "", **measured: Any) -> Told:
        """Hand in a measurement that nobody asked for; arguments as `tell`."""
        return self.tell(Point(y=float(y), x=float(x), name="", frame=frame), spectrum, **measured)

    def fail(self, point: Point, message: str, **details: Any) -> Told:
        """Say that the attempt at a point was made and gave nothing usable; `details` as in `tell`."""
        return self._unmeasured(point, message, pb.OBSERVATION_STATUS_FAILED, details)

    def infeasible(self, point: Point, message: str, **details: Any) -> Told:
        """Say that a point cannot be measured at all, so that it is not proposed again; `details` as in `tell`."""
        return self._unmeasured(point, message, pb.OBSERVATION_STATUS_INFEASIBLE, details)

    def release(self, point: Point, reason: str = "released by the client") -> None:
        """Give a point back unmeasured."""
        self._held.release([point], reason)

    def release_all(self, reason: str = "released by the client") -> None:
        """Give back every lease that was not used, the handed-out ones too."""
        self._held.take_all()
        self._held.release(self._keeper.points(), reason)

    def seconds_left(self, point: Point) -> float:
        """Return how long the lease of a point is still good for; 0 when it was lost, told or released."""
        return self._keeper.seconds_left(point.name)

    def check_move(self, y: float, x: float) -> None:
        """Refuse a move of one's own that the limits forbid.

        Raises:
            SafetyError: Outside the limits.
        """
        self.limits.check(y, x, self._previous)

    @property
    def n_waiting(self) -> int:
        """Number of measurements in the outbox that the server has not acknowledged."""
        return self._courier.n_waiting

    def flush(self, give_up_after_s: Optional[float] = None) -> int:
        """Send what waits in the outbox; return how many were acknowledged.

        Raises:
            ProbescoutError: As the server answers; Unavailable when given up.
        """
        return self._courier.flush(give_up_after_s)

    def close(self) -> None:
        """Send what waits, give back unused leases and end the background thread; any thread may call this.

        With the link down it takes a few seconds, and what is in the outbox stays there for the next time.
        """
        if self._session.closed.is_set():
            return
        try:
            self._courier.flush(RELEASE_PATIENCE_S)
        except ProbescoutError as error:
            log.warning("%d measurements stay in the outbox until the run is resumed: %s", self.n_waiting, error)
        self.release_all("the client closed")
        self._session.close()
        self._keeper.close()
        self._session.identity.close()

    def _unmeasured(self, point: Point, message: str, status: pb.ObservationStatus, details: Any) -> Told:
        observation = to_observation(self.name, point, self._session.client_id, **details)
        observation.status = status
        observation.message = message
        return self._deliver(observation)

    def _deliver(self, observation: pb.Observation) -> Told:
        session = self._session
        asked_at = time.monotonic()
        is_asking = bool(observation.suggestion) and not (session.is_stopping or session.is_paused)
        count = min(MAX_COUNT, 1 + session.options.prefetch - len(self._held)) if is_asking else 0
        reply = self._courier.deliver(observation, max(count, 0))
        if reply is None:
            self._keeper.start()
            return Told(observation=observation.name, is_acknowledged=False)
        if is_asking and count > 0 and reply.HasField("version"):
            self._take(reply, asked_at)
        return to_told(reply.observation)

    def _suggest(self) -> None:
        """Ask the server for points, after what waits in the outbox."""
        session = self._session
        patience_s = session.options.give_up_after_s
        self._courier.flush(patience_s)
        asked_at = time.monotonic()
        request = pb.SuggestRequest(
            request_id=str(uuid.uuid4()),
            campaign=self.name,
            count=min(MAX_COUNT, 1 + session.options.prefetch),
            client_id=session.client_id,
            compute_budget_s=session.options.compute_budget_s,
            last_seen=session.version,
        )
        self._take(session.call("Suggest", request, patience_s), asked_at)

    def _take(self, reply: Any, asked_at: float) -> None:
        """Queue the suggestions of a Suggest or Step reply, or keep why there are none."""
        session = self._session
        session.learn_version(reply.version)
        session.advice = [to_advice(advice) for advice in reply.advice]
        session.influence = to_influence(reply)
        for suggestion in reply.suggestions:
            self._held.put(to_point(suggestion, reply.degraded_reasons), asked_at)
        if not reply.suggestions:
            self._stop = session.stop_report = to_stop_report(reply.stop)
            session.learn_status(_STATUS_OF_CAUSE.get(reply.stop.cause, 0), reply.stop.message)
        elif not session.is_stopping:
            self._stop = session.stop_report = None

    def _check(self, point: Point) -> None:
        try:
            self.limits.check(point.y, point.x, self._previous)
        except SafetyError:
            self._held.release([point], "outside the client's safety limits")
            raise

    def _await_resume(self) -> None:
        session = self._session
        stop, self._stop = self._stop, None
        session.wait(stop.retry_after_s if stop is not None and stop.retry_after_s > 0.0 else PAUSE_LOOK_S)
        if not session.closed.is_set():
            request = pb.GetCampaignRequest(name=self.name)
            session.learn_campaign(session.call("GetCampaign", request, session.options.give_up_after_s))

    def _on_contact(self) -> None:
        """Send what waits, now that the server answers; called on the keeper's thread."""
        try:
            self._courier.flush(0.0)
        except Unavailable as error:
            log.info("the link went down again: %s", error)
        except ProbescoutError as error:
            self._session.fail(error)
