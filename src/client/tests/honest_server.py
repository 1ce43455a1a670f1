"""A small server with honest state, for tests of the client: dedupe by request id, streams, blobs, injected faults."""

import hashlib
import time
import uuid
from concurrent import futures

import grpc
from honest_campaign import CODES, Campaign, RefusalError, State
from honest_theory import TheoryCalls
from probescout_client.wire.v1 import probescout_pb2 as pb
from probescout_client.wire.v1 import probescout_pb2_grpc

TOKEN = "test-token"


class Servicer(
    TheoryCalls,
    probescout_pb2_grpc.PlannerServiceServicer,
    probescout_pb2_grpc.BlobServiceServicer,
    probescout_pb2_grpc.TheoryServiceServicer,
):
    def __init__(self, state):
        self.state = state

    def find(self, name):
        if name not in self.state.campaigns:
            raise RefusalError(CODES.NOT_FOUND, "CAMPAIGN_NOT_FOUND", "no campaign '{}'".format(name), "campaign")
        return self.state.campaigns[name]

    def create_campaign(self, request):
        name = "campaigns/" + (request.campaign_id or uuid.uuid4().hex[:8])
        if name in self.state.campaigns:
            raise RefusalError(CODES.ALREADY_EXISTS, "CAMPAIGN_EXISTS", "taken", "campaign_id")
        if not request.spec.scalarizer.name:
            raise RefusalError(CODES.INVALID_ARGUMENT, "FIELD_MISSING", "name a scalarizer", "spec.scalarizer.name")
        campaign = self.state.campaigns[name] = Campaign(name, request.spec)
        campaign.log("CampaignCreated")
        return campaign.message()

    def get_campaign(self, request):
        campaign = self.find(request.name)
        campaign.expire()
        return campaign.message()

    def list_campaigns(self, request):
        names = sorted(self.state.campaigns)
        start, size = int(request.page_token or 0), request.page_size or 100
        page = names[start : start + size]
        token = str(start + size) if start + size < len(names) else ""
        return pb.ListCampaignsReply(campaigns=[self.state.campaigns[n].message() for n in page], next_page_token=token)

    def update_campaign(self, request):
        campaign = self.find(request.name)
        if request.etag != campaign.etag:
            raise RefusalError(CODES.FAILED_PRECONDITION, "ETAG_MISMATCH", "it has changed", "etag")
        for field in request.update_mask:
            getattr(campaign.spec, field).CopyFrom(getattr(request.spec, field))
        campaign.etag = str(int(campaign.etag) + 1)
        campaign.log("CampaignUpdated")
        return campaign.message()

    def control_campaign(self, request):
        campaign = self.find(request.name)
        campaign.status = {
            pb.CONTROL_ACTION_PAUSE: pb.CAMPAIGN_STATUS_PAUSED,
            pb.CONTROL_ACTION_PAUSE_IMMEDIATE: pb.CAMPAIGN_STATUS_PAUSED,
            pb.CONTROL_ACTION_RESUME: pb.CAMPAIGN_STATUS_RUNNING,
            pb.CONTROL_ACTION_STOP: pb.CAMPAIGN_STATUS_STOPPED,
            pb.CONTROL_ACTION_ABORT: pb.CAMPAIGN_STATUS_ABORTED,
        }[request.action]
        campaign.reason = request.reason
        if request.action in (pb.CONTROL_ACTION_PAUSE_IMMEDIATE, pb.CONTROL_ACTION_ABORT):
            for name in list(campaign.expiry):
                campaign.give_back(name, pb.SUGGESTION_STATE_RELEASED)
        campaign.log("Controlled")
        return campaign.message()

    def add_frame(self, request):
        campaign = self.find(request.campaign)
        if request.frame.image.blob and request.frame.image.blob not in self.state.blobs:
            raise RefusalError(CODES.NOT_FOUND, "BLOB_NOT_FOUND", "no such blob", "frame.image.blob")
        request.frame.name = campaign.name + "/frames/1"
        campaign.frames.append(request.frame)
        campaign.log("FrameAdded")
        return pb.FrameReply(frame=request.frame, version=campaign.version)

    def suggest(self, request):
        campaign = self.find(request.campaign)
        campaign.check_seen(request.last_seen)
        suggestions, stop = campaign.lease(request.count, request.client_id)
        influence = self.state.influence
        return pb.SuggestReply(suggestions=suggestions, stop=stop, version=campaign.version, theory=influence)

    def tell(self, request):
        campaign = self.find(request.campaign)
        campaign.check_seen(request.last_seen)
        return pb.TellReply(observation=campaign.add(request.observation), version=campaign.version)

    def step(self, request):
        campaign = self.find(request.campaign)
        campaign.check_seen(request.last_seen)
        observation = campaign.add(request.observation)
        suggestions, stop = campaign.lease(request.count, request.client_id)
        return pb.StepReply(observation=observation, suggestions=suggestions, stop=stop, version=campaign.version)

    def held(self, campaign, request):
        campaign.expire()
        for name, token in zip(request.names, request.lease_tokens, strict=True):
            suggestion = campaign.suggestions[name]
            if suggestion.state != pb.SUGGESTION_STATE_PENDING or token != suggestion.lease_token:
                raise RefusalError(CODES.FAILED_PRECONDITION, "LEASE_STALE", name + " has ended", "lease_tokens")
            yield suggestion

    def renew_leases(self, request):
        campaign = self.find(request.campaign)
        held = list(self.held(campaign, request))
        for suggestion in held:
            campaign.expiry[suggestion.name] = time.monotonic() + campaign.lease_s
        campaign.log("LeasesRenewed")
        return pb.RenewLeasesReply(suggestions=held, status=campaign.status, version=campaign.version)

    def release_suggestions(self, request):
        campaign = self.find(request.campaign)
        for suggestion in list(self.held(campaign, request)):
            campaign.give_back(suggestion.name, pb.SUGGESTION_STATE_RELEASED)
        campaign.log("Released")
        return pb.ReleaseSuggestionsReply(version=campaign.version)

    def list_observations(self, request):
        kept = list(self.find(request.campaign).observations.values())
        start, size = int(request.page_token or 0), request.page_size or 100
        token = str(start + size) if start + size < len(kept) else ""
        return pb.ListObservationsReply(observations=kept[start : start + size], next_page_token=token)

    def list_suggestions(self, request):
        kept = self.find(request.campaign).suggestions.values()
        return pb.ListSuggestionsReply(suggestions=[s for s in kept if request.state in (0, s.state)])

    def preview(self, request):
        campaign = self.find(request.campaign)
        height, width = campaign.frames[0].image.shape
        free = [c for c in campaign.order(height * width) if c not in campaign.blocked][: request.count]
        positions = [pb.Position(y=(c // width + 0.5) / height, x=(c % width + 0.5) / width) for c in free]
        return pb.PreviewReply(suggestions=[pb.Suggestion(position=p) for p in positions], version=campaign.version)

    def get_maps(self, request):
        campaign = self.find(request.campaign)
        n = list(campaign.frames[0].image.shape)
        data = bytes(4 * n[0] * n[1])
        tensor = pb.Tensor(dtype=pb.D_TYPE_FLOAT32, shape=n, dims=["y", "x"], data=data)
        kinds = list(request.kinds) or [pb.MAP_KIND_MEAN, pb.MAP_KIND_STD, pb.MAP_KIND_ACQUISITION]
        return pb.GetMapsReply(maps=[pb.Map(kind=k, tensor=tensor) for k in kinds], version=campaign.version)

    def list_plugins(self, request):
        return pb.ListPluginsReply(plugins=[pb.Plugin(kind=pb.PLUGIN_KIND_SCALARIZER, name="given")])

    def begin_blob(self, request):
        name = "blobs/sha256-" + request.sha256
        key = request.campaign + request.sha256
        if name in self.state.blobs:
            return pb.BeginBlobReply(is_complete=True, name=name, received=request.size)
        self.state.uploads.setdefault(key, (bytearray(), request.size, request.sha256))
        received = len(self.state.uploads[key][0])
        return pb.BeginBlobReply(upload_id=key, received=received, name=name, chunk_size=256 * 1024)

    def write_blob(self, request):
        if request.upload_id not in self.state.uploads:
            raise RefusalError(CODES.NOT_FOUND, "UPLOAD_NOT_FOUND", "begin again", "upload_id")
        data = self.state.uploads[request.upload_id][0]
        if request.offset != len(data):
            raise RefusalError(CODES.INVALID_ARGUMENT, "FIELD_INVALID", "offset {}".format(request.offset), "offset")
        data.extend(request.data)
        return pb.WriteBlobReply(received=len(data))

    def finish_blob(self, request):
        data, size, digest = self.state.uploads.pop(request.upload_id)
        if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
            raise RefusalError(CODES.INVALID_ARGUMENT, "DIGEST_MISMATCH", "damaged", "sha256")
        self.state.blobs["blobs/sha256-" + digest] = bytes(data)
        return pb.FinishBlobReply(name="blobs/sha256-" + digest)

    def ReadBlob(self, request, context):  # noqa: N802 (the contract's name)
        data = self.state.blobs[request.name]
        for offset in range(0, len(data), 256 * 1024):
            yield pb.BlobChunk(offset=offset, data=data[offset : offset + 256 * 1024])

    def WatchEvents(self, request, context):  # noqa: N802 (the contract's name)
        seq = request.after_seq
        while context.is_active():
            with self.state.lock:
                events = self.find(request.campaign).events[seq:]
                if not events:
                    self.state.changed.wait(0.1)
            for event in events:
                seq = event.seq
                yield event


def _snake(name):
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


def _bind(name):
    def call(self, request, context):
        state = self.state
        if ("authorization", "Bearer " + TOKEN) not in [tuple(pair) for pair in context.invocation_metadata()]:
            return _refuse(context, RefusalError(CODES.UNAUTHENTICATED, "TOKEN_MISSING", "send a token"))
        with state.lock:
            state.calls.append((name, request))
            fault = next((f for f in state.faults if f[0] == name), None)
            if fault is not None:
                state.faults.remove(fault)
            if fault is not None and fault[1] == "before":
                return _refuse(context, RefusalError(fault[2], "STORE_UNAVAILABLE", "injected before the commit"))
            try:
                reply = _once(self, name, request)
            except RefusalError as refusal:
                return _refuse(context, refusal)
            state.changed.notify_all()
            if fault is not None:
                return _refuse(context, RefusalError(fault[2], "STORE_UNAVAILABLE", "injected after the commit"))
            return reply

    return call


def _once(servicer, name, request):
    """Give a repeated request its first reply."""
    request_id = getattr(request, "request_id", "")
    body = (name, request.SerializeToString(deterministic=True))
    if request_id in servicer.state.replies:
        first, reply = servicer.state.replies[request_id]
        if first != body:
            raise RefusalError(CODES.INVALID_ARGUMENT, "REQUEST_ID_REUSED", "another body", "request_id")
        return reply
    reply = getattr(servicer, _snake(name))(request)
    if request_id:
        servicer.state.replies[request_id] = (body, reply)
    return reply


def _refuse(context, refusal):
    details = [
        pb.PackedDetail(
            type_url="type.googleapis.com/google.rpc.ErrorInfo",
            value=pb.ErrorInfo(reason=refusal.reason, domain="probescout").SerializeToString(),
        )
    ]
    if refusal.field:
        violation = pb.FieldViolation(field=refusal.field, description=refusal.message)
        details.append(
            pb.PackedDetail(
                type_url="type.googleapis.com/google.rpc.BadRequest",
                value=pb.BadRequest(field_violations=[violation]).SerializeToString(),
            )
        )
    status = pb.RichStatus(code=refusal.code.value[0], message=refusal.message, details=details)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(refusal.code, refusal.message)


for _name in (
    "CreateCampaign GetCampaign ListCampaigns UpdateCampaign ControlCampaign AddFrame Suggest Tell Step RenewLeases "
    "ReleaseSuggestions ListObservations ListSuggestions Preview GetMaps ListPlugins BeginBlob WriteBlob FinishBlob "
    "SubmitTheoryJob ListTheoryJobs CancelTheoryJob SetEvidenceState"
).split():
    setattr(Servicer, _name, _bind(_name))


class HonestServer:
    """A listening server; `stop` and `start` keep state and port."""

    def __init__(self, address="127.0.0.1:0", credentials=None):
        self.state = State()
        self.target = address
        self._credentials = credentials
        self.start()

    def start(self):
        self._pool = futures.ThreadPoolExecutor(max_workers=8)
        self._server = grpc.server(self._pool, options=[("grpc.so_reuseport", 0)])
        servicer = Servicer(self.state)
        probescout_pb2_grpc.add_PlannerServiceServicer_to_server(servicer, self._server)
        probescout_pb2_grpc.add_BlobServiceServicer_to_server(servicer, self._server)
        probescout_pb2_grpc.add_TheoryServiceServicer_to_server(servicer, self._server)
        if self._credentials is None:
            port = self._server.add_insecure_port(self.target)
        else:
            port = self._server.add_secure_port(self.target, self._credentials)
        if not self.target.startswith("unix:"):
            self.target = "127.0.0.1:{}".format(port)
        self._server.start()

    def stop(self):
        self._server.stop(0).wait()
        self._pool.shutdown(wait=True)

    def count(self, name):
        return sum(1 for called, _ in self.state.calls if called == name)
