"""What a run can be asked and told beside the loop: controls, maps, explanations, the journal."""

from __future__ import annotations

import uuid
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

from probescout_client.blobs import fetch
from probescout_client.changes import Changes
from probescout_client.errors import HistoryMismatch, InvalidInput, Unavailable
from probescout_client.points import Budget, Event, Point, StopAdvice, StopReport, to_event, to_point, word
from probescout_client.specs import to_budget, to_policy, to_scalarizer
from probescout_client.tensors import Array
from probescout_client.theory import Theory
from probescout_client.wire.v1 import probescout_pb2 as pb

RECONNECT_S = 0.5


class Steering(Changes):
    """Controls and views of one campaign; the messages that it returns are those of the contract."""

    @property
    def url(self) -> str:
        """Address of the campaign: server and name, as `probescout watch` takes it."""
        scheme = "grpc" if self._session.connection.is_plaintext else "grpcs"
        return "{}://{}/{}".format(scheme, self._session.connection.target, self.name)

    @property
    def theory(self) -> Theory:
        """The simulations of the campaign."""
        return Theory(self._session)

    @property
    def is_stopping(self) -> bool:
        """Whether the campaign was stopped or aborted, as far as this client has heard."""
        return self._session.is_stopping

    @property
    def is_paused(self) -> bool:
        """Whether the campaign is paused, as far as this client has heard."""
        return self._session.is_paused

    @property
    def is_offline(self) -> bool:
        """Whether measurements go to the outbox only, because the link is down."""
        return self._session.is_offline

    @property
    def stop_report(self) -> Optional[StopReport]:
        """Why no more points come; None while they come."""
        return self._session.stop_report

    @property
    def advice(self) -> List[StopAdvice]:
        """What each stop rule of the campaign says, as of the newest points; whether to stop is yours to decide."""
        return list(self._session.advice)

    @property
    def version(self) -> Tuple[int, str]:
        """(sequence number, hash) of the newest event of the journal that this client has heard of."""
        version = self._session.version
        return int(version.event_seq), version.event_hash

    def confirm_history(self, seen: Optional[pb.StateVersion]) -> None:
        """Make sure that the server's journal contains a state seen earlier.

        Args:
            seen: From before a crash of this client; None: nothing to compare.

        Raises:
            HistoryMismatch: HISTORY_MISMATCH when it does not.
        """
        if seen is None or seen.event_seq == 0:
            return
        now = self._session.version
        found = ""
        if seen.event_seq <= now.event_seq:
            request = pb.WatchEventsRequest(campaign=self.name, after_seq=seen.event_seq - 1)
            events = self._session.connection.stream("WatchEvents", request)
            found = next(iter(events)).hash
            events.close()
        if found != seen.event_hash:
            raise HistoryMismatch(
                "HISTORY_MISMATCH",
                "this client saw event {} of {} with hash {}..., the server now {}; measurements stay in the outbox: "
                "call the person who runs the server".format(
                    seen.event_seq,
                    self.name,
                    seen.event_hash[:12],
                    "has hash {}...".format(found[:12]) if found else "ends at event {}".format(now.event_seq),
                ),
                "last_seen",
            )

    def status(self) -> pb.Campaign:
        """Return the campaign as it is now."""
        campaign: pb.Campaign = self._call("GetCampaign", pb.GetCampaignRequest(name=self.name))
        self._session.learn_campaign(campaign)
        return campaign

    def pause(self, reason: str = "", immediate: bool = False) -> pb.Campaign:
        """Hand out no more points; `immediate` also revokes those that are out."""
        action = pb.CONTROL_ACTION_PAUSE_IMMEDIATE if immediate else pb.CONTROL_ACTION_PAUSE
        return self._control(action, reason)

    def resume(self, reason: str = "") -> pb.Campaign:
        """Go on after a pause."""
        return self._control(pb.CONTROL_ACTION_RESUME, reason)

    def stop(self, reason: str = "") -> pb.Campaign:
        """End in order: points that are out may be finished."""
        return self._control(pb.CONTROL_ACTION_STOP, reason)

    def abort(self, reason: str = "") -> pb.Campaign:
        """End at once: every lease is revoked."""
        return self._control(pb.CONTROL_ACTION_ABORT, reason)

    def maps(self, kinds: Sequence[str] = ()) -> Dict[str, Array]:
        """Return maps by kind.

        Kinds: "mean", "std", "acquisition", "predictive_std", "novelty", "prior", "theory" and "theory_std"; the last
        three are there once simulations say something. None named: the first three. Each has dims (y, x) or
        (candidate,), float32, NaN where there is no candidate; `numpy.asarray` takes them.

        Raises:
            InvalidInput: FIELD_INVALID for an unknown kind.
        """
        numbers: List[pb.MapKind] = []
        for kind in kinds:
            if "MAP_KIND_" + kind.upper() not in pb.MapKind.keys():
                known = [word(pb.MapKind, n, "MAP_KIND_") for n in pb.MapKind.values() if n]
                raise InvalidInput("FIELD_INVALID", "no map '{}'; there are {}".format(kind, ", ".join(known)), "kinds")
            numbers.append(getattr(pb, "MAP_KIND_" + kind.upper()))
        reply = self._call("GetMaps", pb.GetMapsRequest(campaign=self.name, kinds=numbers))
        connection = self._session.connection
        return {word(pb.MapKind, m.kind, "MAP_KIND_"): fetch(connection, self.name, m.tensor) for m in reply.maps}

    def pareto_front(self) -> List[pb.Observation]:
        """Return the observations that no other beats in every target at once, best first target first.

        Measured values are compared as they are: near ties within the noise are not told apart.
        """
        reply = self._call("GetParetoFront", pb.GetParetoFrontRequest(campaign=self.name))
        return list(reply.observations)

    def preview(self, k: int = 1) -> List[Point]:
        """Return the next k points if nothing else happened; nothing is leased."""
        reply = self._call("Preview", pb.PreviewRequest(campaign=self.name, count=k))
        return [to_point(suggestion, reply.degraded_reasons) for suggestion in reply.suggestions]

    def explain(self, point: Union[Point, Tuple[float, float]]) -> pb.ExplainReply:
        """Return why a point was chosen, or what the model holds of a position (y, x)."""
        request = pb.ExplainRequest(campaign=self.name)
        if isinstance(point, Point) and point.name:
            request.suggestion = point.name
        elif isinstance(point, Point):
            request.position.CopyFrom(pb.Position(frame=point.frame, y=point.y, x=point.x))
        else:
            request.position.CopyFrom(pb.Position(y=float(point[0]), x=float(point[1])))
        reply: pb.ExplainReply = self._call("Explain", request)
        return reply

    def update(
        self,
        scalarizer: Optional[str] = None,
        params: Optional[Dict[str, Any]] = None,
        policy: Optional[str] = None,
        policy_params: Optional[Dict[str, Any]] = None,
        budget: Union[None, int, Budget] = None,
        reason: str = "",
        etag: Optional[str] = None,
    ) -> pb.Campaign:
        """Change what the campaign plans for, how, or how much it may spend; all targets are recomputed as needed.

        Args:
            scalarizer: Its name; with `params`.
            params: Its parameters; alone they change those of the present scalarizer.
            policy: Its name; with `policy_params`.
            policy_params: Its parameters; alone they change those of the present policy.
            budget: Probes, or a Budget.
            reason: Kept in the journal.
            etag: That of the campaign the change is meant for; None: as it is now.

        Raises:
            WrongState: ETAG_MISMATCH when somebody else changed it first.
        """
        now = self.status()
        spec = pb.CampaignSpec()
        mask = []
        if scalarizer is not None or params is not None:
            spec.scalarizer.CopyFrom(to_scalarizer(scalarizer or now.spec.scalarizer.name, params))
            mask.append("scalarizer")
        if policy is not None or policy_params is not None:
            spec.policy.CopyFrom(to_policy(policy or now.spec.policy.name, policy_params))
            mask.append("policy")
        if budget is not None:
            spec.budget.CopyFrom(to_budget(budget))
            mask.append("budget")
        request = pb.UpdateCampaignRequest(
            request_id=str(uuid.uuid4()),
            name=self.name,
            spec=spec,
            update_mask=mask,
            etag=now.etag if etag is None else etag,
            reason=reason,
        )
        campaign: pb.Campaign = self._call("UpdateCampaign", request)
        self._session.scalarizer = campaign.spec.scalarizer.name
        self._session.learn_campaign(campaign)
        return campaign

    def watch(self, after_seq: int = 0) -> Iterator[Event]:
        """Yield the journal from a sequence number, then live; a lost link is taken up where it broke.

        Raises:
            ProbescoutError: As the server answers; it ends when the run is closed.
        """
        closed = self._session.closed
        while not closed.is_set():
            request = pb.WatchEventsRequest(campaign=self.name, after_seq=after_seq)
            try:
                for message in self._session.connection.stream("WatchEvents", request):
                    after_seq = int(message.seq)
                    yield to_event(message)
            except Unavailable:
                if closed.is_set() or self._session.connection.closing.is_set():
                    return
            closed.wait(RECONNECT_S)

    def observations(self, with_spectra: bool = False, page_size: int = 100) -> Iterator[pb.Observation]:
        """Yield every observation, page by page."""
        request = pb.ListObservationsRequest(campaign=self.name, page_size=page_size, is_with_spectra=with_spectra)
        while True:
            reply = self._call("ListObservations", request)
            for observation in reply.observations:
                yield observation
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    def suggestions(self, state: str = "", page_size: int = 100) -> Iterator[pb.Suggestion]:
        """Yield every suggestion, or those "pending", "measured", "released" or "expired"."""
        request = pb.ListSuggestionsRequest(campaign=self.name, page_size=page_size)
        if state:
            request.state = getattr(pb, "SUGGESTION_STATE_" + state.upper())
        while True:
            reply = self._call("ListSuggestions", request)
            for suggestion in reply.suggestions:
                yield suggestion
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    def spectrum(self, observation: pb.Observation) -> Array:
        """Return the raw signal of an observation listed with spectra."""
        return fetch(self._session.connection, self.name, observation.spectrum)

    def _control(self, action: pb.ControlAction, reason: str) -> pb.Campaign:
        request = pb.ControlCampaignRequest(request_id=str(uuid.uuid4()), name=self.name, action=action, reason=reason)
        campaign: pb.Campaign = self._call("ControlCampaign", request)
        self._session.learn_campaign(campaign)
        return campaign
