"""The state of the honest server: campaigns with leases and a hash chain, and what it refuses."""

import hashlib
import threading
import time
import uuid

import grpc
from probescout_client.wire.v1 import probescout_pb2 as pb

CODES = grpc.StatusCode


class RefusalError(Exception):
    def __init__(self, code, reason, message, field=""):
        super().__init__(message)
        self.code, self.reason, self.message, self.field = code, reason, message, field


class State:
    """What survives a restart of the server."""

    def __init__(self):
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.campaigns = {}
        self.replies = {}
        self.blobs = {}
        self.uploads = {}
        self.jobs = {}
        self.influence = None
        self.calls = []
        self.faults = []
        """(call, "before" or "after" the commit, code): taken from the front by the next matching call."""


class Campaign:
    def __init__(self, name, spec):
        self.name, self.spec = name, spec
        self.status, self.reason, self.etag = pb.CAMPAIGN_STATUS_RUNNING, "", "1"
        self.events, self.frames = [], []
        self.suggestions, self.observations, self.expiry = {}, {}, {}
        self.blocked = set()
        self.lease_s = spec.lease_s or 120.0

    def log(self, kind):
        last = self.events[-1].hash if self.events else self.name
        text = "{}|{}|{}".format(last, kind, len(self.events) + 1)
        event = pb.Event(seq=len(self.events) + 1, kind=kind, hash=hashlib.sha256(text.encode()).hexdigest())
        event.payload_json = "{}"
        self.events.append(event)

    @property
    def version(self):
        if not self.events:
            return pb.StateVersion()
        return pb.StateVersion(event_seq=len(self.events), event_hash=self.events[-1].hash)

    def check_seen(self, seen):
        if seen.event_seq and (
            seen.event_seq > len(self.events) or self.events[seen.event_seq - 1].hash != seen.event_hash
        ):
            raise RefusalError(CODES.DATA_LOSS, "HISTORY_MISMATCH", "another history", "last_seen")

    def expire(self):
        for name, end in list(self.expiry.items()):
            if end < time.monotonic():
                self.give_back(name, pb.SUGGESTION_STATE_EXPIRED)

    def give_back(self, name, state):
        self.suggestions[name].state = state
        self.blocked.discard(self.suggestions[name].candidate)
        del self.expiry[name]

    def message(self):
        pending = [s for s in self.suggestions.values() if s.state == pb.SUGGESTION_STATE_PENDING]
        return pb.Campaign(
            name=self.name,
            spec=self.spec,
            status=self.status,
            status_reason=self.reason,
            etag=self.etag,
            n_observations=len(self.observations),
            n_pending=len(pending),
            frames=self.frames,
            version=self.version,
            use=pb.BudgetUse(probes_spent=len(self.observations), probes_reserved=len(self.expiry)),
        )

    def lease(self, count, client_id):
        self.expire()
        if self.status != pb.CAMPAIGN_STATUS_RUNNING:
            causes = {
                pb.CAMPAIGN_STATUS_PAUSED: pb.STOP_CAUSE_PAUSED,
                pb.CAMPAIGN_STATUS_STOPPED: pb.STOP_CAUSE_STOPPED,
                pb.CAMPAIGN_STATUS_ABORTED: pb.STOP_CAUSE_ABORTED,
            }
            is_final = self.status != pb.CAMPAIGN_STATUS_PAUSED
            return [], pb.StopReport(
                cause=causes[self.status], message=self.reason, is_final=is_final, retry_after_s=0.1
            )
        if not self.frames:
            raise RefusalError(CODES.FAILED_PRECONDITION, "NO_FRAME", "add a frame first")
        height, width = self.frames[0].image.shape
        out = []
        for _ in range(max(1, count)):
            spent = len(self.observations) + len(self.expiry)
            if self.spec.budget.probes and spent >= self.spec.budget.probes:
                is_final = not self.expiry
                return out, pb.StopReport(
                    cause=pb.STOP_CAUSE_BUDGET_PROBES, message="spent", is_final=is_final, retry_after_s=0.1
                )
            candidate = next((c for c in self.order(height * width) if c not in self.blocked), None)
            if candidate is None:
                return out, pb.StopReport(cause=pb.STOP_CAUSE_NO_CANDIDATES, is_final=True)
            out.append(self.grant(candidate, height, width, client_id))
        return out, None

    def order(self, n):
        step = 7919
        return ((c * step + 13) % n for c in range(n))

    def grant(self, candidate, height, width, client_id):
        name = "{}/suggestions/{}".format(self.name, len(self.suggestions) + 1)
        row, column = divmod(candidate, width)
        position = pb.Position(y=(row + 0.5) / height, x=(column + 0.5) / width)
        suggestion = pb.Suggestion(
            name=name,
            position=position,
            lease_token=uuid.uuid4().hex,
            expires_in_s=self.lease_s,
            source=pb.SUGGESTION_SOURCE_SEED_DESIGN,
            state=pb.SUGGESTION_STATE_PENDING,
            client_id=client_id,
            ordinal=len(self.suggestions) + 1,
            candidate=candidate,
        )
        self.suggestions[name] = suggestion
        self.expiry[name] = time.monotonic() + self.lease_s
        self.blocked.add(candidate)
        self.log("Leased")
        return suggestion

    def add(self, observation):
        self.expire()
        if observation.name in self.observations:
            raise RefusalError(CODES.ALREADY_EXISTS, "OBSERVATION_EXISTS", "recorded already", "observation.name")
        if observation.has_value and observation.value != observation.value:
            raise RefusalError(CODES.INVALID_ARGUMENT, "NON_FINITE", "value is nan", "observation.value")
        kept = pb.Observation()
        kept.CopyFrom(observation)
        if observation.suggestion:
            suggestion = self.suggestions.get(observation.suggestion)
            if suggestion is None:
                raise RefusalError(
                    CODES.NOT_FOUND, "SUGGESTION_NOT_FOUND", "no such suggestion", "observation.suggestion"
                )
            kept.is_late = suggestion.state != pb.SUGGESTION_STATE_PENDING
            if not kept.is_late:
                suggestion.state = pb.SUGGESTION_STATE_MEASURED
                del self.expiry[suggestion.name]
        kept.score_state = pb.SCORE_STATE_SCORED
        kept.target = observation.value
        kept.ordinal = len(self.observations) + 1
        self.observations[kept.name] = kept
        self.log("Observed")
        return kept
