"""Connects to a server, starts campaigns and takes them up again."""

from __future__ import annotations

import os
import socket
import uuid
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Type, Union

from probescout_client.blobs import with_blob
from probescout_client.connection import Connection
from probescout_client.errors import AlreadyExists
from probescout_client.identity import Identity
from probescout_client.outbox import Outbox, default_root
from probescout_client.points import Budget, Motion, Objective
from probescout_client.run import Run
from probescout_client.safety import SafetyLimits, polygons, to_limits
from probescout_client.session import RunOptions
from probescout_client.specs import (
    to_budget,
    to_candidates,
    to_frame,
    to_json,
    to_motion,
    to_name,
    to_objective,
    to_policy,
    to_scalarizer,
    to_seed_design,
)
from probescout_client.theory import TheoryPlan, to_theory
from probescout_client.wire.v1 import probescout_pb2 as pb


class Planner:
    """A server and what can be done there; a context manager that closes its runs.

    Example:
        >>> with Planner(Connection("localhost:50051", token="secret"), client_id="titan-1") as planner:
        ...     planner.client_id
        'titan-1'
    """

    def __init__(self, connection: Connection, client_id: Optional[str] = None, outbox: Optional[str] = None) -> None:
        """Use an open connection; see `connect`."""
        self._connection = connection
        self._outbox_root = outbox or default_root()
        self._own_name = client_id
        self.client_id = client_id or socket.gethostname()
        """Name of this instrument; without one of its own, each run adds a mark that is kept in its outbox folder."""
        self._runs: List[Run] = []

    def __enter__(self) -> "Planner":
        """Return itself."""
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Any) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close every run, which gives back unused leases, and the connection."""
        for run in self._runs:
            run.close()
        self._connection.close()

    def start(
        self,
        image: Any = None,
        *,
        scalarizer: str,
        params: Optional[Dict[str, Any]] = None,
        pixel_size: Optional[Tuple[float, str]] = None,
        sample: str = "",
        instrument: str = "",
        operator: str = "",
        title: str = "",
        policy: str = "expected_improvement",
        policy_params: Optional[Dict[str, Any]] = None,
        budget: Union[None, int, Budget] = None,
        seed: int = 0,
        n_initial: int = 10,
        initial: Optional[Iterable[Tuple[float, float]]] = None,
        initial_design: str = "random",
        minimize: bool = False,
        campaign: Optional[str] = None,
        exist_ok: bool = False,
        mask: Any = None,
        allowed: Optional[Iterable[Sequence[Sequence[float]]]] = None,
        forbidden: Optional[Iterable[Sequence[Sequence[float]]]] = None,
        max_step: float = 0.0,
        border: float = 0.0,
        dose_per_area: float = 0.0,
        max_rate_hz: float = 0.0,
        dose_unit: str = "",
        lease_s: float = 0.0,
        stride: int = 1,
        parameters: Optional[Iterable[Sequence[Any]]] = None,
        patches: Any = None,
        positions: Optional[Iterable[Tuple[float, float]]] = None,
        rotation_deg: float = 0.0,
        metadata: Optional[Dict[str, Any]] = None,
        deep: bool = True,
        members: Sequence[str] = (),
        objectives: Iterable[Objective] = (),
        stop_rules: Optional[Dict[str, float]] = None,
        motion: Optional[Motion] = None,
        theory: Optional[TheoryPlan] = None,
        transfer: str = "",
        **options: Any,
    ) -> Run:
        """Declare a campaign, send its image and return the run.

        Args:
            image: (y, x) or (channel, y, x): any buffer, numpy array or nested lists; None for tuning or own patches.
            scalarizer: How a spectrum becomes the target: an installed name, or "given" when values are told.
            params: Its parameters.
            pixel_size: (value, unit) of the edge of a pixel, for example (0.4, "nm").
            sample: Name of the sample.
            instrument: Name of the instrument.
            operator: Person, preferably an ORCID.
            title: For people.
            policy: Installed rule that scores candidates.
            policy_params: Its parameters.
            budget: Probes, or a Budget; None: unlimited.
            seed: Of every random choice of the planner.
            n_initial: First points, chosen before the model knows anything.
            initial: These positions (y, x) instead.
            initial_design: "random" or "grid".
            minimize: Look for small targets.
            campaign: Id; None: the server chooses.
            exist_ok: Take the campaign up again if it exists, as `resume` does, instead of raising.
            mask: (y, x) truth values: where probing is allowed.
            allowed: Polygons of (y, x) fractions; a point must lie in one.
            forbidden: Polygons of (y, x) fractions; a point must lie outside all.
            max_step: Largest move between points, as a fraction of the frame diagonal; 0: none.
            border: Margin of the frame that is never probed, as a fraction.
            dose_per_area: Cap on the dose of one pixel, in dose_unit; 0: none.
            max_rate_hz: Most points a second; 0: none.
            dose_unit: Empty: "e/nm^2".
            lease_s: Seconds to measure a point; 0: the server's 120.
            stride: Use every stride-th pixel.
            parameters: (name, low, high[, unit[, levels]]) of settings to choose.
            patches: (candidate, y, x) or (candidate, channel, y, x) instead of an image, with `positions`.
            positions: (y, x) of each patch.
            rotation_deg: Of the frame against the stage, counter-clockwise.
            metadata: Free JSON object, kept and exported.
            deep: Whether the deep-kernel member takes part.
            members: Members of the committee that take part, for example ("bank_xy",); none: all.
            objectives: Further targets beside the first; see `Run.pareto_front` and the policy "pareto".
            stop_rules: Bound of each rule by name, for example {"expected_regret": 0.1}; see `Run.advice`.
            motion: What moving and measuring cost, for policies that weigh it; None: every point costs the same.
            theory: Which simulations of patches may inform the model; None: none. See `Run.theory`.
            transfer: NAME or NAME@VERSION of an earlier campaign's model in the server's registry, which joins the
                committee; empty: none.
            **options: Fields of RunOptions, for example prefetch=4, park_after_s=60, on_park=blank_beam.

        Raises:
            AlreadyExists: CAMPAIGN_EXISTS unless `exist_ok`.
            InvalidInput: As the server refuses the declaration; the field says where.
            Unavailable: No server within the connection's patience.
        """
        run_options = RunOptions(**options)
        safety = SafetyLimits(polygons(allowed), polygons(forbidden), max_step, border)
        frame = to_frame(image, pixel_size, mask, patches, positions, rotation_deg)
        spec = pb.CampaignSpec(
            title=title,
            sample=sample,
            instrument=instrument,
            operator=operator,
            scalarizer=to_scalarizer(scalarizer, params),
            policy=to_policy(policy, policy_params),
            seed_design=to_seed_design(n_initial, initial, initial_design),
            budget=to_budget(budget),
            limits=to_limits(safety, dose_per_area, max_rate_hz),
            candidates=to_candidates(parameters, stride, image is not None, patches is not None),
            seed=seed,
            lease_s=lease_s,
            is_minimizing=minimize,
            dose_unit=dose_unit,
            metadata_json=to_json(metadata, "metadata"),
            is_deep_member_disabled=not deep,
            members=members,
            objectives=[to_objective(objective) for objective in objectives],
            stop_rules=[pb.StopRule(name=name, bound=bound) for name, bound in (stop_rules or {}).items()],
            motion=to_motion(motion),
            theory=to_theory(theory),
            transfer=pb.TransferSpec(model=transfer) if transfer else None,
        )
        request = pb.CreateCampaignRequest(request_id=str(uuid.uuid4()), campaign_id=campaign or "", spec=spec)
        try:
            created = self.call("CreateCampaign", request)
        except AlreadyExists:
            if not (exist_ok and campaign):
                raise
            return self._resume(campaign, safety, run_options, frame)
        outbox = self._outbox(created.name)
        outbox.set_aside_all("it belongs to an earlier campaign of the name {}".format(created.name))
        outbox.forget_version()
        if frame is not None:
            created.version.CopyFrom(self._add_frame(created.name, frame).version)
        return self._run(created, outbox, safety, run_options)

    def resume(
        self,
        campaign: str,
        allowed: Optional[Iterable[Sequence[Sequence[float]]]] = None,
        forbidden: Optional[Iterable[Sequence[Sequence[float]]]] = None,
        max_step: float = 0.0,
        border: float = 0.0,
        **options: Any,
    ) -> Run:
        """Take part in a campaign that exists, after a crash of this client or beside another.

        Measurements left in the outbox are sent first. Points that a killed process of this computer still holds are
        handed out again, by the first run that asks for points; those of a living one are its own. A client with an own
        `client_id` takes back whatever is held under it.

        Args:
            campaign: Its id or name.
            allowed: As in `start`: limits of this client on top of the campaign's.
            forbidden: As in `start`.
            max_step: As in `start`.
            border: As in `start`.
            **options: Fields of RunOptions.

        Raises:
            NotFound: CAMPAIGN_NOT_FOUND.
            HistoryMismatch: The server's history is not the one that this client saw: call a person.
        """
        safety = SafetyLimits(polygons(allowed), polygons(forbidden), max_step, border)
        return self._resume(campaign, safety, RunOptions(**options), None)

    def get(self, campaign: str) -> pb.Campaign:
        """Return a campaign by id or name."""
        found: pb.Campaign = self.call("GetCampaign", pb.GetCampaignRequest(name=to_name(campaign)))
        return found

    def campaigns(self, page_size: int = 100) -> Iterator[pb.Campaign]:
        """Yield every campaign of the server, page by page."""
        request = pb.ListCampaignsRequest(page_size=page_size)
        while True:
            reply = self.call("ListCampaigns", request)
            for campaign in reply.campaigns:
                yield campaign
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    def plugins(self, kind: str = "") -> List[pb.Plugin]:
        """Return what is installed: all, or "scalarizer", "planner" or "theory"."""
        request = pb.ListPluginsRequest()
        if kind:
            request.kind = getattr(pb, "PLUGIN_KIND_" + kind.upper())
        return list(self.call("ListPlugins", request).plugins)

    def call(self, name: str, request: Any) -> Any:
        """Send any unary call of the contract, with credentials and safe retries, and return its reply.

        Args:
            name: For example "SubmitTheoryJob".
            request: Its message, with a request_id where it has one.

        Raises:
            ProbescoutError: As the server answers; Unavailable when the patience has run out.
        """
        return self._connection.call(name, request, self._connection.patience_s)

    def _resume(self, campaign: str, safety: SafetyLimits, options: RunOptions, frame: Optional[pb.Frame]) -> Run:
        found = self.get(campaign)
        if frame is not None and not found.frames:
            found.version.CopyFrom(self._add_frame(found.name, frame).version)
        outbox = self._outbox(found.name)
        run = self._run(found, outbox, safety, options, is_resumed=True)
        run.confirm_history(outbox.last_version())
        run.flush(self._connection.patience_s)
        return run

    def _run(
        self,
        campaign: pb.Campaign,
        outbox: Outbox,
        safety: SafetyLimits,
        options: RunOptions,
        is_resumed: bool = False,
    ) -> Run:
        identity = Identity(outbox.folder, self._own_name)
        run = Run(self._connection, campaign, identity, outbox, options, safety, is_resumed)
        self._runs.append(run)
        return run

    def _outbox(self, name: str) -> Outbox:
        return Outbox(self._outbox_root, os.path.basename(name))

    def _add_frame(self, campaign: str, frame: pb.Frame) -> pb.FrameReply:
        for tensor in (frame.image, frame.mask, frame.patches):
            with_blob(self._connection, campaign, tensor, self._connection.patience_s)
        request = pb.AddFrameRequest(request_id=str(uuid.uuid4()), campaign=campaign, frame=frame)
        reply: pb.FrameReply = self.call("AddFrame", request)
        return reply
