"""The calls of PlannerService that only look."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar

import grpc
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.errors import InvalidInput, NotFound, Reason
from probescout.runtime.planner import Desk, Planner
from probescout.service.campaign_codec import write_campaign, write_event, write_maps, write_version
from probescout.service.data_codec import STATE_OUT, write_observation, write_suggestion
from probescout.service.names import campaign_id, own_id
from probescout.service.tensors import KINDS, write_tensor

T = TypeVar("T")
DEFAULT_PAGE, MAX_PAGE = 100, 1000
WATCH_BATCH = 64
"""Events read from the journal at once for one watcher; the rest waits on disk, not in memory."""
_GROUPS = {
    "probescout.scalarizers": pb.PLUGIN_KIND_SCALARIZER,
    "probescout.planners": pb.PLUGIN_KIND_PLANNER,
    "probescout.theory": pb.PLUGIN_KIND_THEORY,
}


def page(rows: Sequence[T], size: int, token: str) -> tuple[Sequence[T], str]:
    """Return one page of rows and the token of the next; rows are only ever appended, so a token stays true.

    Raises:
        InvalidInput: FIELD_INVALID for a token that no page gave.
    """
    if token and not (token.isascii() and token.isdigit() and len(token) < 12):
        raise InvalidInput(Reason.FIELD_INVALID, f"'{token[:80]}' is no token of an earlier page", field="page_token")
    start = int(token or 0)
    stop = start + min(size or DEFAULT_PAGE, MAX_PAGE)
    return rows[start:stop], str(stop) if stop < len(rows) else ""


class Listing:
    """Read-only calls."""

    def __init__(self, planner: Planner) -> None:
        """Look into a started planner."""
        self._planner = planner

    def _desk(self, name: str, *, field: str = "campaign") -> Desk:
        return self._planner.desk(campaign_id(name, field=field), field=field)

    async def GetCampaign(self, request: pb.GetCampaignRequest, context: grpc.aio.ServicerContext) -> pb.Campaign:
        """Return one campaign."""
        driver = self._desk(request.name, field="name").driver
        return write_campaign(driver.state, driver.ledger.head)

    async def ListCampaigns(
        self, request: pb.ListCampaignsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListCampaignsReply:
        """Return campaigns, oldest first."""
        rows, token = page(self._planner.desks(), request.page_size, request.page_token)
        return pb.ListCampaignsReply(
            campaigns=[write_campaign(d.driver.state, d.driver.ledger.head) for d in rows], next_page_token=token
        )

    async def ListObservations(
        self, request: pb.ListObservationsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListObservationsReply:
        """Return observations in the order in which they came."""
        driver = self._desk(request.campaign).driver
        rows, token = page(list(driver.state.observations.values()), request.page_size, request.page_token)
        reply = pb.ListObservationsReply(next_page_token=token)
        for o in rows:
            message = write_observation(o, driver.state.id)
            data = await driver.ledger.raw(o) if request.is_with_spectra else None
            if data is not None and o.signal is not None:
                spectrum = o.signal.spectrum(data)
                message.spectrum.CopyFrom(write_tensor(spectrum.values, spectrum.dims, spectrum.unit))
                message.spectrum.value_kind = next(k for k, v in KINDS.items() if v is spectrum.kind)
                message.axes.extend(
                    pb.Axis(dim=a.dim, quantity=a.quantity, unit=a.unit, values=a.values) for a in spectrum.axes
                )
                if spectrum.mask is not None:
                    message.mask.CopyFrom(write_tensor(spectrum.mask, spectrum.dims))
            reply.observations.append(message)
        return reply

    async def ListSuggestions(
        self, request: pb.ListSuggestionsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListSuggestionsReply:
        """Return suggestions in the order in which they were handed out."""
        driver = self._desk(request.campaign).driver
        known = driver.state.suggestions.values()
        wanted = [s for s in known if not request.state or STATE_OUT[s.state] == request.state]
        rows, token = page(wanted, request.page_size, request.page_token)
        return pb.ListSuggestionsReply(
            suggestions=[write_suggestion(s, driver.state.id, driver.leases.left(s.id)) for s in rows],
            next_page_token=token,
        )

    async def Preview(self, request: pb.PreviewRequest, context: grpc.aio.ServicerContext) -> pb.PreviewReply:
        """Return the next points without leasing them."""
        driver = self._desk(request.campaign).driver
        picks = await driver.preview(request.count or 1)
        messages = [write_suggestion(s, driver.state.id, 0.0) for s in picks.suggestions]
        for message in messages:
            message.name, message.lease_token = "", ""
            message.state = pb.SUGGESTION_STATE_UNSPECIFIED
        return pb.PreviewReply(
            suggestions=messages,
            version=write_version(driver.ledger.head, driver.state),
            degraded_reasons=picks.degraded,
        )

    async def Explain(self, request: pb.ExplainRequest, context: grpc.aio.ServicerContext) -> pb.ExplainReply:
        """Return why a point was, or would be, chosen."""
        driver = self._desk(request.campaign).driver
        candidate, acquisition = self._asked_candidate(driver, request)
        told = await driver.explain(candidate)
        state = driver.state
        assert state.candidates is not None and state.frame is not None
        y, x = state.frame.to_instrument(*state.candidates.position(candidate))
        by_candidate = {o.candidate: o for o in state.observations.values() if o.is_taught}
        nearest = [(by_candidate[n["index"]], n) for n in told["nearest"] if n["index"] in by_candidate]
        unit = f" {state.target_unit}" if state.target_unit else ""
        best = state.best()
        exploit = told["mean"] - (best.target if best is not None else told["mean"])
        if state.spec.is_minimizing:
            exploit = -exploit
        words = (
            f"The model expects {told['mean']:.4g} ± {told['std']:.2g}{unit} here"
            + (f", against a best of {best.target:.4g}{unit} so far" if best is not None else "")
            + (f"; the most similar measured point had {nearest[0][0].target:.4g}{unit}." if nearest else ".")
        )
        return pb.ExplainReply(
            position=pb.Position(frame=f"campaigns/{state.id}/frames/{state.frame.added.frame}", y=y, x=x),
            mean=told["mean"],
            std=told["std"],
            acquisition=acquisition,
            exploit=exploit,
            explore=told["std"],
            members=[pb.MemberWeight(member=m["name"], **_only(m, "weight", "mean", "std")) for m in told["members"]],
            nearest=[
                pb.Neighbour(
                    observation=f"campaigns/{state.id}/observations/{o.id}",
                    target=o.target,
                    similarity=n["correlation"],
                )
                for o, n in nearest
            ],
            model_version=state.model_version,
            n_since_fit=told["n_since_fit"],
            text=words,
            version=write_version(driver.ledger.head, state),
        )

    def _asked_candidate(self, driver: Any, request: pb.ExplainRequest) -> tuple[int, float]:
        state = driver.state
        if request.suggestion:
            found = driver.find_suggestion(own_id("suggestion", request.suggestion, state.id, field="suggestion"))
            return found.candidate, found.acquisition
        if not request.HasField("position"):
            raise InvalidInput(Reason.FIELD_MISSING, "name a suggestion or a position", field="position")
        if state.candidates is None or state.frame is None:
            raise NotFound(Reason.NO_FRAME, f"campaign '{state.id}' has no frame yet", field="campaign")
        y, x = state.frame.to_image(request.position.y, request.position.x, 0)
        if not (0.0 <= y <= 1.0 and 0.0 <= x <= 1.0):
            raise InvalidInput(Reason.FIELD_INVALID, f"({y}, {x}) is outside the frame", field="position")
        return state.candidates.nearest(y, x), float("nan")

    async def GetMaps(self, request: pb.GetMapsRequest, context: grpc.aio.ServicerContext) -> pb.GetMapsReply:
        """Return the model's maps over all candidates."""
        driver = self._desk(request.campaign).driver
        reply = await driver.maps()
        state = driver.state
        is_image = state.candidates is not None and state.candidates.shape is not None
        return pb.GetMapsReply(
            maps=write_maps(reply, list(request.kinds), state.target_unit, is_image),
            version=write_version(driver.ledger.head, state),
            weights=[pb.MemberWeight(member=k, weight=w) for k, w in reply["weights"].items()],
            target_unit=state.target_unit,
            degraded_reasons=[r for r in (driver.modeller.fit_problem,) if r],
        )

    async def WatchEvents(
        self, request: pb.WatchEventsRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.Event]:
        """Yield the journal from a sequence number, then what comes."""
        ledger = self._desk(request.campaign).driver.ledger
        after = request.after_seq
        if after > ledger.head.seq:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"after_seq {after} is beyond the newest event {ledger.head.seq}",
                field="after_seq",
            )
        while True:
            for record in await ledger.read(after, WATCH_BATCH):
                yield write_event(record)
                after = record.seq
            await ledger.wait_beyond(after)

    async def ListPlugins(
        self, request: pb.ListPluginsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListPluginsReply:
        """Return what is installed."""
        rows = (await self._planner.seats.ask("plugins"))["plugins"]
        return pb.ListPluginsReply(
            plugins=[
                pb.Plugin(
                    kind=_GROUPS[row["group"]],
                    name=row["name"],
                    summary=row["summary"],
                    params_schema_json=json.dumps(row["schema"], sort_keys=True),
                    distribution=row["distribution"],
                    version=row["version"],
                    load_error=row["load_error"],
                )
                for row in rows
                if not request.kind or _GROUPS[row["group"]] == request.kind
            ]
        )


def _only(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {n: row[n] for n in names}
