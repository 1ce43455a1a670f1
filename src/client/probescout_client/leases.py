"""Keeps leases alive, learns of pause, stop and abort, and pulls the dead-man switch, on one daemon thread."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional

from probescout_client.errors import NotFound, ProbescoutError, Unavailable, WrongState
from probescout_client.points import Point
from probescout_client.session import Session
from probescout_client.wire.v1 import probescout_pb2 as pb

log = logging.getLogger("probescout_client")

STALE_REASONS = ("LEASE_STALE", "SUGGESTION_NOT_FOUND")


@dataclass(frozen=True)
class _Lease:
    point: Point
    expires_at: float
    """Monotonic time."""
    renew_at: float
    """A third of the lease after it was granted: two more renewals may fail."""


class LeaseKeeper:
    """Renews the leases of all points that are handed out or waiting in the queue."""

    def __init__(self, session: Session, on_contact: Callable[[], None]) -> None:
        """Prepare; the thread starts with the first lease.

        Args:
            session: The campaign.
            on_contact: Called on the thread after each answer of the server, to send what was left.
        """
        self._session = session
        self._on_contact = on_contact
        self._leases: Dict[str, _Lease] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: Optional[threading.Thread] = None
        self._began = time.monotonic()
        self._next_look = 0.0
        self._is_parked = False

    def start(self) -> None:
        """Start the thread if it does not run."""
        with self._lock:
            if self._thread is None and not self._session.closed.is_set():
                self._thread = threading.Thread(target=self._loop, name="probescout-leases", daemon=True)
                self._thread.start()

    def add(self, point: Point, granted_at: float) -> None:
        """Keep a lease.

        Args:
            point: With its lease token and the seconds it was granted for.
            granted_at: Monotonic time of the request, so that the local expiry errs on the early side.
        """
        with self._lock:
            self._leases[point.name] = _Lease(
                point, granted_at + point.expires_in_s, granted_at + point.expires_in_s / 3.0
            )
        self.start()
        self._wake.set()

    def drop(self, name: str) -> None:
        """Stop renewing a lease that was used or given back."""
        with self._lock:
            self._leases.pop(name, None)

    def points(self) -> List[Point]:
        """Return the points whose leases are kept."""
        with self._lock:
            return [lease.point for lease in self._leases.values()]

    def seconds_left(self, name: str) -> float:
        """Return how long a lease is still good for; 0 when it was lost, used or given back."""
        with self._lock:
            lease = self._leases.get(name)
        return 0.0 if lease is None else max(0.0, lease.expires_at - time.monotonic())

    def close(self) -> None:
        """End the thread."""
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=self._session.connection.timeout_s)

    def _loop(self) -> None:
        session = self._session
        while not session.closed.is_set():
            try:
                self._tick()
            except Unavailable as error:
                log.info("the planner cannot be reached: %s", error)
            except ProbescoutError as error:
                session.fail(error)
            except Exception as error:  # noqa: B902 (a fault here must reach the operator, not end the thread unseen)
                session.fail(error)
            if session.closed.is_set():
                return
            self._check_silence()
            self._wake.wait(self._delay())
            self._wake.clear()

    def _tick(self) -> None:
        """Renew what is due, or look at the campaign when nothing was heard for a heartbeat."""
        session, now = self._session, time.monotonic()
        with self._lock:
            due = [lease.point for lease in self._leases.values() if lease.renew_at <= now]
            is_busy = bool(self._leases) or session.is_offline or session.options.park_after_s is not None
        if due:
            self._renew(due)
        elif is_busy and now >= self._next_look:
            self._next_look = now + session.options.heartbeat_s
            session.learn_campaign(self._call("GetCampaign", pb.GetCampaignRequest(name=session.campaign)))
        else:
            return
        self._on_contact()

    def _renew(self, points: List[Point]) -> None:
        session, asked_at = self._session, time.monotonic()
        request = pb.RenewLeasesRequest(
            request_id=str(uuid.uuid4()),
            campaign=session.campaign,
            client_id=session.client_id,
            names=[point.name for point in points],
            lease_tokens=[point.lease_token for point in points],
        )
        self._postpone(points, asked_at + session.options.heartbeat_s)
        try:
            reply = self._call("RenewLeases", request)
        except (WrongState, NotFound) as error:
            if error.reason not in STALE_REASONS:
                raise
            # One stale lease refuses the whole request: find it by asking for each.
            if len(points) > 1:
                for point in points:
                    self._renew([point])
            else:
                self._lose(points[0], str(error))
            return
        session.learn_version(reply.version)
        session.learn_status(reply.status)
        kept = {s.name: s for s in reply.suggestions if s.state in (0, pb.SUGGESTION_STATE_PENDING)}
        for point in points:
            if point.name in kept:
                self._extend(point, asked_at, kept[point.name].expires_in_s)
            else:
                self._lose(point, "the server revoked it or it ran out")

    def _extend(self, point: Point, asked_at: float, seconds: float) -> None:
        with self._lock:
            if point.name in self._leases:
                self._leases[point.name] = _Lease(point, asked_at + seconds, asked_at + seconds / 3.0)

    def _postpone(self, points: List[Point], until: float) -> None:
        """Try a renewal again after a heartbeat if this one finds no server."""
        with self._lock:
            for point in points:
                lease = self._leases.get(point.name)
                if lease is not None:
                    self._leases[point.name] = _Lease(point, lease.expires_at, until)

    def _lose(self, point: Point, why: str) -> None:
        log.warning("lease of %s is lost: %s; data for it are still welcome", point.name, why)
        self.drop(point.name)

    def _call(self, name: str, request: Any) -> Any:
        session = self._session
        timeout_s = session.connection.timeout_s
        if session.options.park_after_s is not None:
            timeout_s = min(timeout_s, max(0.05, session.options.park_after_s / 4.0))
        return session.connection.call(name, request, 0.0, timeout_s, interrupt=session.closed)

    def _check_silence(self) -> None:
        """Park once for each outage."""
        limit = self._session.options.park_after_s
        if limit is None:
            return
        silent_s = time.monotonic() - max(self._session.connection.last_contact, self._began)
        if silent_s < limit:
            self._is_parked = False
        elif not self._is_parked:
            self._is_parked = True
            self._session.park("the planner has been silent for {:.1f} s".format(silent_s))

    def _delay(self) -> float:
        """Return the seconds until something is due."""
        options, now = self._session.options, time.monotonic()
        with self._lock:
            times = [lease.renew_at for lease in self._leases.values()]
        if times or self._session.is_offline or options.park_after_s is not None:
            times.append(self._next_look)
        delay = min(times) - now if times else options.heartbeat_s
        if options.park_after_s is not None:
            delay = min(delay, options.park_after_s / 8.0)
        return min(max(delay, 0.01), 60.0)
