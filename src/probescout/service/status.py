"""The one table from our errors to gRPC status, and the rich details that go with it."""

from __future__ import annotations

import logging

import grpc
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.errors import (
    DOMAIN,
    AlreadyExists,
    Denied,
    HistoryMismatch,
    InvalidInput,
    MissingExtra,
    NotBuilt,
    NotFound,
    Overloaded,
    ProbescoutError,
    Unauthenticated,
    Unavailable,
    WrongState,
)

STATUS: dict[type[ProbescoutError], grpc.StatusCode] = {
    InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    WrongState: grpc.StatusCode.FAILED_PRECONDITION,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    Denied: grpc.StatusCode.PERMISSION_DENIED,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    HistoryMismatch: grpc.StatusCode.DATA_LOSS,
    NotBuilt: grpc.StatusCode.UNIMPLEMENTED,
    MissingExtra: grpc.StatusCode.FAILED_PRECONDITION,
}
MAX_MESSAGE = 1000
"""Longest message of an error, characters: gRPC allows 8 KiB for all trailers, and replaces the status beyond that."""
DETAILS_KEY = "grpc-status-details-bin"
_PREFIX = "type.googleapis.com/google.rpc."
_log = logging.getLogger(__name__)


def code_of(error: ProbescoutError) -> grpc.StatusCode:
    """Return the gRPC status code of an error, by the nearest family in its ancestry."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def details(error: ProbescoutError) -> bytes:
    """Return google.rpc.Status with ErrorInfo and, where a field is named, BadRequest, serialized."""
    number: int = code_of(error).value[0]
    info = pb.ErrorInfo(reason=str(error.reason), domain=DOMAIN)
    status = pb.RichStatus(code=number, message=_cut(error.message))
    status.details.add(type_url=_PREFIX + "ErrorInfo", value=info.SerializeToString())
    if error.field:
        bad = pb.BadRequest(field_violations=[pb.FieldViolation(field=error.field, description=_cut(error.message))])
        status.details.add(type_url=_PREFIX + "BadRequest", value=bad.SerializeToString())
    return status.SerializeToString()


def _cut(message: str) -> str:
    """Return a message that fits into the trailers twice over in base64 and once percent-encoded."""
    if len(message.encode()) <= MAX_MESSAGE:
        return message
    return message.encode()[:MAX_MESSAGE].decode(errors="ignore") + " ..."


async def abort(context: grpc.aio.ServicerContext, error: ProbescoutError) -> None:
    """End a call with an error of ours."""
    await context.abort(code_of(error), _cut(error.message), ((DETAILS_KEY, details(error)),))


async def abort_bug(context: grpc.aio.ServicerContext, error: Exception) -> None:
    """End a call with an error that we did not foresee; the log has the whole of it, the caller its name."""
    _log.exception("a call failed in a way that nobody foresaw", exc_info=error)
    await context.abort(
        grpc.StatusCode.INTERNAL, f"a fault in the server: {type(error).__name__}; its log says more. Nothing is lost"
    )
