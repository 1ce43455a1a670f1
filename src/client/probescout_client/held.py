"""The points that a run holds leases of: those waiting to be handed out, and how to give them back."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from typing import Deque, List, Optional, Sequence

from probescout_client.errors import NotFound, Unavailable, WrongState
from probescout_client.leases import STALE_REASONS, LeaseKeeper
from probescout_client.points import Point, to_point
from probescout_client.session import Session
from probescout_client.wire.v1 import probescout_pb2 as pb

log = logging.getLogger("probescout_client")

RELEASE_PATIENCE_S = 2.0
"""Most seconds that leaving a loop spends on giving leases back; they expire by themselves otherwise."""


class HeldPoints:
    """A queue of leased points, safe to use from several threads."""

    def __init__(self, session: Session, keeper: LeaseKeeper) -> None:
        """Begin empty.

        Args:
            session: The campaign.
            keeper: Renews the leases, of handed-out points too.
        """
        self._session = session
        self._keeper = keeper
        self._queue: Deque[Point] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many wait to be handed out."""
        return len(self._queue)

    def put(self, point: Point, granted_at: float) -> None:
        """Queue a point whose lease was asked for at a monotonic time."""
        self._keeper.add(point, granted_at)
        with self._lock:
            self._queue.append(point)

    def adopt(self, give_up_after_s: Optional[float]) -> int:
        """Take over what this client still holds from before it crashed; return how many points.

        Raises:
            ProbescoutError: As the server answers; Unavailable when given up. Nothing is taken over then.
        """
        session, asked_at = self._session, time.monotonic()
        request = pb.ListSuggestionsRequest(campaign=session.campaign, page_size=100, state=pb.SUGGESTION_STATE_PENDING)
        points = []
        while True:
            reply = session.call("ListSuggestions", request, give_up_after_s)
            ours = [s for s in reply.suggestions if s.client_id == session.client_id and s.lease_token]
            points += [to_point(suggestion) for suggestion in ours]
            if not reply.next_page_token:
                break
            request.page_token = reply.next_page_token
        for point in points:
            self.put(point, asked_at)
        if points:
            log.info("%d points are taken over from before the crash", len(points))
        return len(points)

    def take(self) -> Optional[Point]:
        """Return the oldest point whose lease is good: one that ran out may be another instrument's by now."""
        while True:
            with self._lock:
                if not self._queue:
                    return None
                point = self._queue.popleft()
            if self._keeper.seconds_left(point.name) > 0.0:
                return point
            self._keeper.drop(point.name)

    def take_all(self) -> List[Point]:
        """Return every waiting point, expired or not."""
        with self._lock:
            points = list(self._queue)
            self._queue.clear()
        return points

    def release(self, points: Sequence[Point], reason: str) -> None:
        """Give leases back to the server; with the link down they expire by themselves.

        Raises:
            ProbescoutError: As the server answers, except that a lease had ended anyway.
        """
        points = [point for point in points if point.name]
        for point in points:
            self._keeper.drop(point.name)
        session = self._session
        if not points or session.closed.is_set() or session.status == pb.CAMPAIGN_STATUS_ABORTED:
            return
        request = pb.ReleaseSuggestionsRequest(
            request_id=str(uuid.uuid4()),
            campaign=session.campaign,
            names=[point.name for point in points],
            lease_tokens=[point.lease_token for point in points],
            reason=reason,
        )
        try:
            reply = session.connection.call("ReleaseSuggestions", request, RELEASE_PATIENCE_S, RELEASE_PATIENCE_S)
            session.learn_version(reply.version)
        except Unavailable as error:
            log.warning("%d leases could not be given back and will expire: %s", len(points), error)
        except (NotFound, WrongState) as error:
            if error.reason not in STALE_REASONS + ("CAMPAIGN_ENDED",):
                raise
            log.info("leases had ended before they were given back: %s", error)
            # One stale lease refuses the whole request: the others are given back one by one.
            for point in points if len(points) > 1 else ():
                self.release([point], reason)
