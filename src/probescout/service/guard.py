"""What every call passes: who may call, how much at once, and how errors leave."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError, Message

from probescout.core.errors import InvalidInput, NotBuilt, Overloaded, ProbescoutError, Reason, Unavailable
from probescout.service.auth import Principal, Tokens
from probescout.service.not_built import NOT_BUILT
from probescout.service.precedence import Precedence
from probescout.service.status import abort, abort_bug
from probescout.service.text_limits import check_texts

PRINCIPAL: ContextVar[Principal] = ContextVar("principal")
"""Who makes the call that is being handled."""
MAX_STREAMS = 128
"""Most event and blob streams at once."""
MAX_STANDARD_STREAMS = 32
"""Most streams of the standard services; counted apart, because anybody may watch the health without a token."""
MAX_WAITING = 128
"""Most workers that wait for a theory job at once; counted apart, because they must not keep instruments waiting."""
WAITING_CALL = "/probescout.v1.TheoryService/AcquireTheoryJobs"
_FULL = {
    "own": "calls are in progress; try again in a moment",
    "waiting": "workers wait for theory jobs already; try again in 30 s, or let fewer workers ask for more jobs each",
}
_log = logging.getLogger(__name__)

Decode = Callable[[bytes], Any]


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Authenticates, bounds and translates; wraps every call, the standard ones too."""

    def __init__(self, tokens: Tokens, max_inflight: int) -> None:
        """Start open; `drain` closes it."""
        self._tokens = tokens
        self._precedence = Precedence()
        self._most_calls = {"own": max_inflight, "waiting": MAX_WAITING, "standard": math.inf}
        self._n_calls = dict.fromkeys(self._most_calls, 0)
        self._n_streams = {"own": 0, "standard": 0}
        self._is_draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    def drain(self) -> None:
        """Refuse new work from now on."""
        self._is_draining = True

    async def idle(self) -> None:
        """Wait until no unary call is in progress."""
        await self._idle.wait()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Return the handler of a call with the guard around it."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        method = handler_call_details.method
        header = dict(handler_call_details.invocation_metadata or ()).get("authorization", "")
        if handler.request_streaming:
            # Only server reflection streams requests; it is wrapped for its authentication alone.
            return grpc.stream_stream_rpc_method_handler(
                self._streaming(handler.stream_stream, method, str(header), _as_it_is),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._streaming(handler.unary_stream, method, str(header), handler.request_deserializer),
                response_serializer=handler.response_serializer,
            )
        # The body is decoded inside the guard: grpc would answer UNKNOWN to bytes that are no message.
        return grpc.unary_unary_rpc_method_handler(
            self._unary(handler.unary_unary, method, str(header), handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _admit(self, method: str, header: str) -> None:
        PRINCIPAL.set(self._tokens.check(method, header))
        if method in NOT_BUILT:
            raise NotBuilt(Reason.CALL_NOT_BUILT, f"{method.rsplit('/', 1)[-1]} is not built in this server")
        if self._is_draining and not _is_standard(method):
            raise Unavailable(Reason.SERVER_DRAINING, "the server is shutting down; try again when it is back")

    def _unary(self, behavior: Callable[[Any, Any], Awaitable[Any]], method: str, header: str, decode: Decode) -> Any:
        kind = "standard" if _is_standard(method) else "waiting" if method == WAITING_CALL else "own"

        async def call(body: bytes, context: grpc.aio.ServicerContext) -> Any:
            try:
                self._admit(method, header)
                request = _decoded(body, decode)
                if self._n_calls[kind] >= self._most_calls[kind]:
                    raise Overloaded(Reason.QUEUE_FULL, f"{self._n_calls[kind]} {_FULL[kind]}")
                self._n_calls[kind] += 1
                self._idle.clear()
                try:
                    async with self._precedence.of(method):
                        return await behavior(request, context)
                finally:
                    self._n_calls[kind] -= 1
                    if not any(self._n_calls.values()):
                        self._idle.set()
            except ProbescoutError as error:
                await abort(context, error)
            except (grpc.aio.AbortError, asyncio.CancelledError):
                raise
            except Exception as error:
                await abort_bug(context, error)

        return call

    def _streaming(self, behavior: Callable[[Any, Any], Any], method: str, header: str, decode: Decode) -> Any:
        bound = MAX_STANDARD_STREAMS if _is_standard(method) else MAX_STREAMS
        kind = "standard" if _is_standard(method) else "own"

        # A coroutine that writes, not a generator: grpc logs a traceback for a generator whose client is gone.
        async def call(body: Any, context: grpc.aio.ServicerContext) -> None:
            try:
                self._admit(method, header)
                request = _decoded(body, decode)
                if self._n_streams[kind] >= bound:
                    raise Overloaded(Reason.QUEUE_FULL, f"{self._n_streams[kind]} streams are open; close one")
                self._n_streams[kind] += 1
                try:
                    await _forward(behavior(request, context), context)
                finally:
                    self._n_streams[kind] -= 1
            except ProbescoutError as error:
                await abort(context, error)
            except (grpc.aio.AbortError, asyncio.CancelledError):
                raise
            except Exception as error:
                await abort_bug(context, error)

        return call


async def _forward(replies: AsyncIterator[Any] | Awaitable[None], context: grpc.aio.ServicerContext) -> None:
    """Send what a handler yields, or let it write by itself, as the standard health service does."""
    try:
        if not isinstance(replies, AsyncIterator):
            await replies
            return
        async with aclosing(cast(AsyncGenerator[Any, None], replies)):
            async for reply in replies:
                await context.write(reply)
    except grpc.aio.InternalError as error:
        # The transport refuses to write: the client has gone, and nobody is left to be told.
        _log.debug("a stream ended while it was written: %s", error)


def _is_standard(method: str) -> bool:
    return method.startswith("/grpc.")


def _decoded(body: bytes, decode: Decode) -> Any:
    try:
        message = decode(body)
    except DecodeError as error:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"the body is not a message of this call: {error}; use the stubs made from the contract",
            field="body",
        ) from error
    if isinstance(message, Message):
        check_texts(message)
    return message


def _as_it_is(body: Any) -> Any:
    return body
