"""What one run knows of its campaign, shared by the loop, the courier and the lease keeper."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, List, Optional

from probescout_client.connection import Connection
from probescout_client.identity import Identity
from probescout_client.points import Influence, StopAdvice, StopReport, word
from probescout_client.wire.v1 import probescout_pb2 as pb

log = logging.getLogger("probescout_client")

ENDED = (pb.CAMPAIGN_STATUS_STOPPED, pb.CAMPAIGN_STATUS_ABORTED)


@dataclass(frozen=True)
class RunOptions:
    """How a run behaves on this computer; the campaign itself knows nothing of these."""

    prefetch: int = 0
    """Points leased ahead of the one being measured, so that a dead link does not stop the instrument at once."""
    compute_budget_s: float = 2.0
    """Time that the server may think before it answers degraded."""
    give_up_after_s: Optional[float] = None
    """Time without a server after which the loop raises Unavailable; None: it waits for ever."""
    offline_after_s: Optional[float] = None
    """Time that tell() tries before the data stay in the outbox and the loop goes on; None: one attempt's time."""
    heartbeat_s: float = 2.0
    """Seconds between looks at the campaign's status while a point is being measured."""
    park_after_s: Optional[float] = None
    """Seconds of silence after which `on_park` is called; None: never for silence."""
    on_park: Optional[Callable[[str], None]] = None
    """Parks or blanks the beam: called with the reason, on a thread of the client, on silence and on abort."""
    on_status: Optional[Callable[[str, str], None]] = None
    """Called with (status, reason) when the campaign runs, pauses, stops or aborts, on a thread of the client."""


class Session:
    """Campaign, newest state of its journal, its status and the switches to end waiting."""

    def __init__(self, connection: Connection, campaign: pb.Campaign, identity: Identity, options: RunOptions) -> None:
        """Begin with what the server has just told.

        Args:
            connection: Link to the server.
            campaign: As created or read.
            identity: Under which leases are held.
            options: How the run behaves here.
        """
        self.connection = connection
        self.campaign = campaign.name
        self.scalarizer = campaign.spec.scalarizer.name
        self.identity = identity
        self.options = options
        self.closed = threading.Event()
        self.is_offline = False
        """Whether the last attempt to send data was given up and nothing was heard since."""
        self.stop_report: Optional[StopReport] = None
        self.advice: List[StopAdvice] = []
        self.influence: Optional[Influence] = None
        self.status = int(campaign.status)
        self.status_reason = campaign.status_reason
        self._version = pb.StateVersion()
        self._version.CopyFrom(campaign.version)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._failure: Optional[BaseException] = None

    @property
    def client_id(self) -> str:
        """Name of this instrument."""
        return self.identity.client_id

    @property
    def is_paused(self) -> bool:
        """Whether no point should be measured for now."""
        return self.status == pb.CAMPAIGN_STATUS_PAUSED

    @property
    def is_stopping(self) -> bool:
        """Whether the campaign was stopped or aborted."""
        return self.status in ENDED

    @property
    def version(self) -> pb.StateVersion:
        """A copy of the newest state of the journal that the server told."""
        with self._lock:
            copy = pb.StateVersion()
            copy.CopyFrom(self._version)
            return copy

    def call(self, name: str, request: Any, give_up_after_s: Optional[float] = None) -> Any:
        """Send a call whose waiting ends when the run is closed; see Connection.call."""
        thinking = self.options.compute_budget_s + 5.0 if name in ("Suggest", "Step") else 0.0
        timeout_s = max(self.connection.timeout_s, thinking)
        return self.connection.call(name, request, give_up_after_s, timeout_s, interrupt=self.closed)

    def learn_version(self, version: pb.StateVersion) -> None:
        """Keep a state of the journal if it is the newest; replies may overtake one another."""
        with self._lock:
            if version.event_seq > self._version.event_seq:
                self._version.CopyFrom(version)

    def learn_campaign(self, campaign: pb.Campaign) -> None:
        """Take status and state from a campaign just read."""
        self.learn_version(campaign.version)
        self.learn_status(campaign.status, campaign.status_reason)

    def learn_status(self, status: int, reason: str = "") -> None:
        """Take a status; call back if it is new, and park on abort."""
        with self._lock:
            # Replies may overtake one another: an ended campaign does not run again.
            if status == pb.CAMPAIGN_STATUS_UNSPECIFIED or status == self.status or self.status in ENDED:
                return
            self.status = status
            self.status_reason = reason
            name = word(pb.CampaignStatus, status, "CAMPAIGN_STATUS_")
            if status in ENDED:
                self.stop_report = StopReport(name, reason)
        self.wake()
        options = self.options
        call = options.on_status
        if call is not None:
            self.guard(partial(call, name, reason))
        if status == pb.CAMPAIGN_STATUS_ABORTED:
            self.park("the campaign was aborted: {}".format(reason or "no reason given"))

    def park(self, reason: str) -> None:
        """Pull the dead-man switch."""
        call = self.options.on_park
        if call is not None:
            log.warning("parking the beam: %s", reason)
            self.guard(partial(call, reason))

    def guard(self, call: Callable[[], Any]) -> None:
        """Run a callback of the operator; its exception is raised from the loop, not on the thread that noticed."""
        try:
            call()
        except Exception as error:  # noqa: B902 (whatever the operator's code raises)
            log.exception("a callback failed")
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Keep an error of a background thread for the next call of the operator's thread."""
        with self._lock:
            if self._failure is None:
                self._failure = error
        self.wake()

    def raise_failure(self) -> None:
        """Raise what a background thread has kept, once."""
        with self._lock:
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def wait(self, seconds: float) -> None:
        """Wait, but no longer than until the status changes or the run is closed."""
        self._wake.wait(seconds)
        self._wake.clear()

    def wake(self) -> None:
        """End a wait."""
        self._wake.set()

    def close(self) -> None:
        """End every wait for good."""
        self.closed.set()
        self.wake()
