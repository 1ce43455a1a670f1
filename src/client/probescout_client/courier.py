"""Takes measurements to the server exactly once: outbox first, then the wire, then forget."""

from __future__ import annotations

import logging
import threading
import uuid
from typing import Callable, List, Optional

from probescout_client.blobs import with_blob
from probescout_client.errors import AlreadyExists, InvalidInput, NotFound, Unavailable, WrongState
from probescout_client.leases import STALE_REASONS
from probescout_client.outbox import Entry, Outbox
from probescout_client.session import Session
from probescout_client.wire.v1 import probescout_pb2 as pb

log = logging.getLogger("probescout_client")


class Courier:
    """Sends measurements, keeps those that could not be sent, and sends them later.

    A measurement is first sent as Step with its own request id. Whatever is sent later goes out as Tell under an id
    derived from that one; the observation id makes it count once, whatever had arrived before.
    """

    def __init__(self, session: Session, outbox: Outbox, on_sent: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            session: The campaign.
            outbox: Where measurements wait.
            on_sent: Called with the name of the suggestion whose measurement the server has.
        """
        self._session = session
        self._outbox = outbox
        self._on_sent = on_sent
        self._flush_lock = threading.Lock()
        self._link_lock = threading.Lock()
        """Held to go offline with a measurement that waits, or online when none does: no measurement falls between."""

    @property
    def n_waiting(self) -> int:
        """Number of measurements on disk that the server has not acknowledged."""
        return len(self._outbox.left())

    def deliver(self, observation: pb.Observation, count: int) -> Optional[pb.StepReply]:
        """Write a measurement to the outbox and send it.

        Args:
            observation: With its id; arrays inline.
            count: Suggestions wanted in return; 0: none.

        Returns:
            The reply, or None when the link is down and the measurement waits in the outbox.

        Raises:
            InvalidInput: The server will never take it; it is set aside in the outbox folder.
            NotFound: The campaign is gone; it is set aside in the outbox folder.
            ProbescoutError: Another family; the measurement waits in the outbox.
        """
        session = self._session
        request = pb.StepRequest(
            request_id=str(uuid.uuid4()),
            campaign=session.campaign,
            observation=observation,
            count=count,
            client_id=session.client_id,
            compute_budget_s=session.options.compute_budget_s,
            last_seen=session.version,
        )
        entry = self._outbox.put(request)
        with self._link_lock:
            if session.is_offline:
                self._outbox.defer(entry)
                return None
        patience_s = session.options.offline_after_s
        patience_s = session.connection.timeout_s if patience_s is None else patience_s
        try:
            reply = self._send(entry, count > 0, patience_s)
        except Unavailable as error:
            log.warning("the link is down, the measurement waits in %s: %s", entry.path, error)
            with self._link_lock:
                session.is_offline = True
                self._outbox.defer(entry)
            return None
        except (InvalidInput, NotFound) as error:
            self._outbox.reject(entry, error)
            raise
        except BaseException:
            self._outbox.defer(entry)
            raise
        self._settle(entry, reply)
        return reply

    def flush(self, give_up_after_s: Optional[float]) -> int:
        """Send everything that waits, oldest first, and return how many the server acknowledged.

        A measurement that the server will never take is set aside and logged; the others go on.

        Raises:
            Unavailable: When given up; the rest waits on.
            ProbescoutError: Another family that sending again cannot mend; the rest waits on.
        """
        n_sent = 0
        with self._flush_lock:
            entries = self._left_or_online()
            while entries:
                n_sent += sum(self._send_waiting(entry, give_up_after_s) for entry in entries)
                entries = self._left_or_online()
        return n_sent

    def _send_waiting(self, entry: Entry, give_up_after_s: Optional[float]) -> bool:
        """Send a measurement that waited; return whether the server has it, not that it will never take it."""
        try:
            reply = self._send(entry, False, give_up_after_s)
        except (InvalidInput, NotFound) as error:
            self._outbox.reject(entry, error)
            return False
        self._settle(entry, reply)
        return True

    def _left_or_online(self) -> List[Entry]:
        """Return what waits; if nothing does, the link counts as up from now on."""
        with self._link_lock:
            entries = self._outbox.left()
            if not entries:
                self._session.is_offline = False
            return entries

    def _settle(self, entry: Entry, reply: pb.StepReply) -> None:
        self._session.learn_version(reply.version)
        self._outbox.remember(self._session.version)
        self._outbox.remove(entry)
        if entry.request.observation.suggestion:
            self._on_sent(entry.request.observation.suggestion)

    def _send(self, entry: Entry, is_step: bool, give_up_after_s: Optional[float]) -> pb.StepReply:
        request = pb.StepRequest()
        request.CopyFrom(entry.request)
        for tensor in (request.observation.spectrum, request.observation.mask):
            with_blob(self._session.connection, request.campaign, tensor, give_up_after_s)
        try:
            return self._send_once(request, is_step, "tell", give_up_after_s)
        except WrongState as error:
            if error.reason not in STALE_REASONS:
                raise
            # The data are good though the lease is not: they go in as unsolicited rather than be lost.
            log.warning("%s is told without its lease: %s", request.observation.name, error)
            request.observation.suggestion = ""
            request.observation.lease_token = ""
            return self._send_once(request, False, "tell-unsolicited", give_up_after_s)

    def _send_once(
        self, request: pb.StepRequest, is_step: bool, label: str, give_up_after_s: Optional[float]
    ) -> pb.StepReply:
        try:
            if is_step:
                stepped: pb.StepReply = self._session.call("Step", request, give_up_after_s)
                return stepped
            tell = pb.TellRequest(
                request_id=str(uuid.uuid5(uuid.UUID(request.request_id), label)),
                campaign=request.campaign,
                observation=request.observation,
                last_seen=request.last_seen,
            )
            told = self._session.call("Tell", tell, give_up_after_s)
            return pb.StepReply(observation=told.observation, version=told.version)
        except AlreadyExists as error:
            if error.reason != "OBSERVATION_EXISTS":
                raise
            # Whoever gives an id gives it to one measurement, so an earlier attempt has arrived.
            log.warning("%s was recorded before; it counts once", request.observation.name)
            return pb.StepReply(observation=pb.Observation(name=request.observation.name))
