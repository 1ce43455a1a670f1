"""Every error that the client raises on purpose, in the families of the server plus two of its own.

ProbescoutError
 ├─ InvalidInput       mend the named field and call again
 ├─ NotFound           the named thing does not exist
 ├─ AlreadyExists      choose another id
 ├─ WrongState         valid, but not now: look at the state first
 ├─ Unauthenticated    send a token that the server knows
 ├─ Denied             ask for a wider token
 ├─ Overloaded         wait, then call again
 ├─ Unavailable        a passing fault, or the link is down: retry
 ├─ HistoryMismatch    the server's history is not the one this client saw: call a person
 ├─ NotBuilt           this server does not have that call
 ├─ ServerFault        a fault of the server that should not exist: report it
 └─ SafetyError        a move outside the limits of the campaign, stopped before the instrument moved
"""

from __future__ import annotations

from typing import Any, Dict, Tuple, Type

import grpc

from probescout_client.wire.v1 import probescout_pb2 as pb

DETAILS_KEY = "grpc-status-details-bin"
"""Trailer that carries a google.rpc.Status."""


class ProbescoutError(Exception):
    """Root of the tree: a message for a person, a reason for a program."""

    def __init__(self, reason: str, message: str, field: str = "") -> None:
        """Keep what is wrong.

        Args:
            reason: One of the closed list of the server (docs/errors), or "UNREACHABLE", "UNSAFE", "UNEXPECTED".
            message: What, which value, what to do next.
            field: Path of the offending field, for example "observation.spectrum.shape"; empty if none.
        """
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field

    def __str__(self) -> str:
        """Return the message with its reason and field."""
        where = " ({})".format(self.field) if self.field else ""
        return "{}{}: {}".format(self.reason, where, self.message)


class InvalidInput(ProbescoutError):  # noqa: N818 (the tree reads as states of affairs)
    """The request can never succeed as it is; mend the named field."""


class NotFound(ProbescoutError):  # noqa: N818
    """The named thing does not exist."""


class AlreadyExists(ProbescoutError):  # noqa: N818
    """The id is taken by something else."""


class WrongState(ProbescoutError):  # noqa: N818
    """The request is valid, but the campaign or lease is not in a state for it."""


class Unauthenticated(ProbescoutError):  # noqa: N818
    """No token, or one that the server does not know."""


class Denied(ProbescoutError):  # noqa: N818
    """The token is known and does not allow this."""


class Overloaded(ProbescoutError):  # noqa: N818
    """A bounded queue of the server is full; wait and call again."""


class Unavailable(ProbescoutError):  # noqa: N818
    """A passing fault or a dead link; measured data stay in the outbox and a retry is safe."""


class HistoryMismatch(ProbescoutError):  # noqa: N818
    """The server's history differs from what this client saw; a person must look."""


class NotBuilt(ProbescoutError):  # noqa: N818
    """The contract has this call and this server does not."""


class ServerFault(ProbescoutError):  # noqa: N818
    """The server failed in a way that it should not; report it with the message."""


class SafetyError(ProbescoutError):
    """A position or move outside the limits of the campaign, found before the instrument moved."""


FAMILIES: Dict[grpc.StatusCode, Type[ProbescoutError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.OUT_OF_RANGE: InvalidInput,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: WrongState,
    grpc.StatusCode.ABORTED: WrongState,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: Denied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: Unavailable,
    grpc.StatusCode.CANCELLED: Unavailable,
    grpc.StatusCode.DATA_LOSS: HistoryMismatch,
    grpc.StatusCode.UNIMPLEMENTED: NotBuilt,
    grpc.StatusCode.INTERNAL: ServerFault,
    grpc.StatusCode.UNKNOWN: ServerFault,
}
"""Family of each gRPC status."""

DEFAULT_REASONS: Dict[Type[ProbescoutError], str] = {
    Unavailable: "UNREACHABLE",
    NotBuilt: "CALL_NOT_BUILT",
    HistoryMismatch: "HISTORY_MISMATCH",
}
"""Reason when the status carries none, for example because it was made on this side of the link."""


def error_of(fault: Any, call: str) -> ProbescoutError:
    """Return the error of ours that a failed gRPC call stands for.

    Args:
        fault: The grpc.RpcError that the call raised.
        call: Name of the call, for the message.
    """
    family = FAMILIES.get(fault.code(), ServerFault)
    reason, field, message = _details(fault)
    if not message:
        message = "{} failed with {}: {}".format(call, fault.code().name, fault.details() or "no details")
    return family(reason or DEFAULT_REASONS.get(family, "UNEXPECTED"), message, field)


def _details(fault: Any) -> Tuple[str, str, str]:
    """Return (reason, field, message) from the rich status of a failed call; empty strings where there is none."""
    packed = [value for key, value in (fault.trailing_metadata() or ()) if key == DETAILS_KEY]
    if not packed:
        return "", "", ""
    status = pb.RichStatus.FromString(packed[0])
    reason = field = ""
    for detail in status.details:
        kind = detail.type_url.rsplit(".", 1)[-1]
        if kind == "ErrorInfo":
            reason = pb.ErrorInfo.FromString(detail.value).reason
        elif kind == "BadRequest":
            violations = pb.BadRequest.FromString(detail.value).field_violations
            field = violations[0].field if violations else ""
    return reason, field, status.message
