"""The calls of PlannerService that only look."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import grpc
import numpy as np
from google.protobuf.message import Message
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core import jobs
from probescout.core.errors import InvalidInput, Reason, WrongState
from probescout.core.fronts import pareto_front
from probescout.core.observations import Observation
from probescout.core.state import Campaign
from probescout.core.suggestions import Suggestion
from probescout.service.campaign_codec import write_campaign, write_version
from probescout.service.data_codec import STATE_OUT, write_observation, write_suggestion
from probescout.service.desks import Desks
from probescout.service.guard import PRINCIPAL
from probescout.service.map_codec import check_map_kinds, write_maps
from probescout.service.names import own_id
from probescout.service.signals import write_signal

T = TypeVar("T")
M = TypeVar("M", bound=Message)
DEFAULT_PAGE, MAX_PAGE = 100, 1000
PAGE_BYTES = 3 << 20
"""Bytes of messages after which a page ends; grpc clients refuse replies of more than 4 MiB by default."""
_GROUPS = {
    "probescout.scalarizers": pb.PLUGIN_KIND_SCALARIZER,
    "probescout.planners": pb.PLUGIN_KIND_PLANNER,
    "probescout.theory": pb.PLUGIN_KIND_THEORY,
}


async def page(rows: Sequence[T], size: int, token: str, write: Callable[[T], Awaitable[M] | M]) -> tuple[list[M], str]:
    """Return one page of messages and the token of the next; rows are only ever appended, so a token stays true.

    Args:
        rows: All of them.
        size: Most messages; 0: 100.
        token: Of an earlier page; empty: the first.
        write: Makes the message of a row. A page ends early rather than grow beyond PAGE_BYTES, but holds one.

    Raises:
        InvalidInput: FIELD_INVALID for a token that no page gave.
    """
    if token and not (token.isascii() and token.isdigit() and len(token) < 12):
        raise InvalidInput(Reason.FIELD_INVALID, f"'{token[:80]}' is no token of an earlier page", field="page_token")
    start = int(token or 0)
    stop = min(len(rows), start + min(size or DEFAULT_PAGE, MAX_PAGE))
    messages: list[M] = []
    n_bytes = 0
    for row in rows[start:stop]:
        made = write(row)
        message = await made if isinstance(made, Awaitable) else made
        n_bytes += message.ByteSize()
        if messages and n_bytes > PAGE_BYTES:
            break
        messages.append(message)
    stop = start + len(messages)
    return messages, str(stop) if stop < len(rows) else ""


class Listing(Desks):
    """Read-only calls."""

    async def GetCampaign(self, request: pb.GetCampaignRequest, context: grpc.aio.ServicerContext) -> pb.Campaign:
        """Return one campaign."""
        driver = self._desk(request.name, field="name").driver
        return write_campaign(driver.state, driver.ledger.head)

    async def ListCampaigns(
        self, request: pb.ListCampaignsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListCampaignsReply:
        """Return campaigns, oldest first."""
        rows, token = await page(
            self._planner.desks(),
            request.page_size,
            request.page_token,
            lambda d: write_campaign(d.driver.state, d.driver.ledger.head),
        )
        return pb.ListCampaignsReply(campaigns=rows, next_page_token=token)

    async def ListObservations(
        self, request: pb.ListObservationsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListObservationsReply:
        """Return observations in the order in which they came."""
        driver = self._desk(request.campaign).driver
        campaign = driver.state.id

        async def write(o: Observation) -> pb.Observation:
            message = write_observation(o, campaign)
            if request.is_with_spectra and o.signal is not None:
                await write_signal(message, o, driver.ledger)
            return message

        rows, token = await page(list(driver.state.observations.values()), request.page_size, request.page_token, write)
        return pb.ListObservationsReply(observations=rows, next_page_token=token)

    async def ListSuggestions(
        self, request: pb.ListSuggestionsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListSuggestionsReply:
        """Return suggestions in the order in which they were handed out."""
        driver = self._desk(request.campaign).driver
        known = driver.state.suggestions.values()
        wanted = [s for s in known if not request.state or STATE_OUT[s.state] == request.state]
        may_measure = not PRINCIPAL.get().scopes.isdisjoint(("measure", "admin"))

        def write(s: Suggestion) -> pb.Suggestion:
            message = write_suggestion(s, driver.state.id, driver.leases.left(s.id))
            if not may_measure:
                message.lease_token = ""
            return message

        rows, token = await page(wanted, request.page_size, request.page_token, write)
        return pb.ListSuggestionsReply(suggestions=rows, next_page_token=token)

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
        if driver.state.frame is None:
            raise WrongState(Reason.NO_FRAME, f"campaign '{driver.state.id}' has no frame yet; call AddFrame first")
        candidate, acquisition = self._asked_candidate(driver, request)
        told = await driver.explain(candidate)
        state = driver.state
        assert state.candidates is not None and state.frame is not None
        y, x = state.frame.to_instrument(*state.candidates.position(candidate))
        by_candidate = {o.candidate: o for o in state.observations.values() if o.is_taught}
        nearest = [(by_candidate[n["index"]], n) for n in told["nearest"] if n["index"] in by_candidate]
        unit = f" {state.target_unit}" if state.target_unit else ""
        best = state.best()
        words = (
            f"The model expects {told['mean']:.4g} ± {told['std']:.2g}{unit} here"
            + (f", against a best of {best.target:.4g}{unit} so far" if best is not None else "")
            + (f"; the most similar measured point had {nearest[0][0].target:.4g}{unit}." if nearest else ".")
        )
        return pb.ExplainReply(
            position=pb.Position(frame=f"campaigns/{state.id}/frames/{state.frame.added.frame}", y=y, x=x),
            mean=told["mean"],
            std=told["std"],
            acquisition=told.get("acquisition", math.nan) if math.isnan(acquisition) else acquisition,
            exploit=told.get("exploit", math.nan),
            explore=told.get("explore", math.nan),
            novelty=told.get("novelty", math.nan),
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
            theory=[pb.TheoryOpinion(**one) for one in told.get("theory", ())],
        )

    def _asked_candidate(self, driver: Any, request: pb.ExplainRequest) -> tuple[int, float]:
        state = driver.state
        if request.suggestion:
            found = driver.find_suggestion(own_id("suggestion", request.suggestion, state.id, field="suggestion"))
            return found.candidate, found.acquisition
        if not request.HasField("position"):
            raise InvalidInput(Reason.FIELD_MISSING, "name a suggestion or a position", field="position")
        y, x = state.frame.to_image(request.position.y, request.position.x, 0)
        if not (0.0 <= y <= 1.0 and 0.0 <= x <= 1.0):
            raise InvalidInput(Reason.FIELD_INVALID, f"({y}, {x}) is outside the frame", field="position")
        return state.candidates.nearest(y, x), float("nan")

    async def GetMaps(self, request: pb.GetMapsRequest, context: grpc.aio.ServicerContext) -> pb.GetMapsReply:
        """Return the model's maps over all candidates."""
        driver = self._desk(request.campaign).driver
        check_map_kinds(request.kinds)
        reply = await driver.maps()
        state = driver.state
        is_image = state.candidates is not None and state.candidates.shape is not None
        return pb.GetMapsReply(
            maps=write_maps(reply, list(request.kinds), state.target_unit, jobs.evidence_unit(state), is_image),
            version=write_version(driver.ledger.head, state),
            weights=[pb.MemberWeight(member=k, weight=w) for k, w in reply["weights"].items()],
            target_unit=state.target_unit,
            degraded_reasons=[*driver.modeller.problems, *reply.get("degraded", ())],
        )

    async def GetParetoFront(
        self, request: pb.GetParetoFrontRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetParetoFrontReply:
        """Return the observations that no other beats in every target; of more than PAGE_BYTES an even choice."""
        driver = self._desk(request.campaign).driver
        state = driver.state
        # A campaign with many measurements must not hold up the other calls.
        messages, n_compared = await asyncio.get_running_loop().run_in_executor(None, _front, state)
        return pb.GetParetoFrontReply(
            observations=messages,
            n_compared=n_compared,
            version=write_version(driver.ledger.head, state),
        )

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


def _front(state: Campaign) -> tuple[list[pb.Observation], int]:
    """Return the front as messages, and how many observations were compared.

    A front that is too long for a reply is thinned evenly along the first target, both ends kept.
    """
    front, n_compared = pareto_front(state)
    messages = [write_observation(o, state.id) for o in front]
    while (n_bytes := sum(m.ByteSize() for m in messages)) > PAGE_BYTES:
        n = max(2, int(len(messages) * 0.95 * PAGE_BYTES / n_bytes))
        messages = [messages[i] for i in np.unique(np.linspace(0, len(messages) - 1, n).astype(int))]
    return messages, n_compared


def _only(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {n: row[n] for n in names}
