"""What people change in a campaign from a script: points asked for, corrections, drift."""

from __future__ import annotations

import uuid
from typing import Any, List, Optional, Sequence, Tuple

from probescout_client.session import Session
from probescout_client.wire.v1 import probescout_pb2 as pb


class Changes:
    """Points asked for, corrections of measurements, and drift of the sample."""

    def __init__(self, session: Session) -> None:
        """Change the campaign of a session."""
        self._session = session

    @property
    def name(self) -> str:
        """campaigns/{c}."""
        return self._session.campaign

    def amend(
        self,
        observation: str,
        reason: str,
        measured_at: Optional[Tuple[float, float]] = None,
        value: Optional[float] = None,
        variance: float = 0.0,
    ) -> pb.Observation:
        """Correct where an observation was measured, or its value; the reason is kept."""
        request = pb.AmendObservationRequest(request_id=str(uuid.uuid4()), name=observation, reason=reason)
        if measured_at is not None:
            request.measured_at.CopyFrom(pb.Position(y=measured_at[0], x=measured_at[1]))
        if value is not None:
            request.has_value, request.value, request.value_variance = True, value, variance
        return self._changed("AmendObservation", request)

    def retract(self, observation: str, reason: str) -> pb.Observation:
        """Withdraw an observation from the model; the raw data are kept."""
        request = pb.RetractObservationRequest(request_id=str(uuid.uuid4()), name=observation, reason=reason)
        return self._changed("RetractObservation", request)

    def propose(
        self, positions: Sequence[Tuple[float, float]], note: str = "", urgent: bool = False
    ) -> List[pb.OperatorPoint]:
        """Have positions measured before the planner's own, by whichever client asks next; return them with names.

        Points that a client holds already are not recalled: with `prefetch` they are measured first.

        Args:
            positions: (y, x) fractions, at most 64.
            note: Why; kept in the journal.
            urgent: Before those that wait already, not after them.

        Raises:
            InvalidInput: FIELD_INVALID with the position that cannot be measured; none is taken then.
        """
        at = [pb.Position(y=float(y), x=float(x)) for y, x in positions]
        request = pb.ProposePointsRequest(
            request_id=str(uuid.uuid4()), campaign=self.name, positions=at, note=note, is_urgent=urgent
        )
        reply = self._call("ProposePoints", request)
        self._session.learn_version(reply.version)
        return list(reply.points)

    def withdraw(self, points: Sequence[str], reason: str = "") -> None:
        """Take back points that were proposed and are not measured yet, by name.

        Raises:
            NotFound: POINT_NOT_FOUND.
        """
        request = pb.WithdrawPointsRequest(
            request_id=str(uuid.uuid4()), campaign=self.name, names=points, reason=reason
        )
        self._session.learn_version(self._call("WithdrawPoints", request).version)

    def update_frame(
        self, frame: str, affine: Sequence[float], covariance: Sequence[float] = (), reason: str = ""
    ) -> pb.Frame:
        """Tell how the sample has drifted.

        Args:
            frame: campaigns/{c}/frames/{f}.
            affine: (6,) yy yx y0 xy xx x0: from the previous revision to this one, fractions.
            covariance: (4,) of the shift (y, x), fractions squared, row by row; empty: none.
            reason: Kept in the journal.
        """
        request = pb.UpdateFrameRequest(
            request_id=str(uuid.uuid4()), name=frame, affine=affine, covariance=covariance, reason=reason
        )
        reply = self._call("UpdateFrame", request)
        self._session.learn_version(reply.version)
        updated: pb.Frame = reply.frame
        return updated

    def _changed(self, name: str, request: Any) -> pb.Observation:
        reply = self._call(name, request)
        self._session.learn_version(reply.version)
        observation: pb.Observation = reply.observation
        return observation

    def _call(self, name: str, request: Any) -> Any:
        return self._session.call(name, request, self._session.connection.patience_s)
