"""The transport of gRPC's own library for asyncio."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final

import grpc
import grpc.aio

from mesh.background import is_cancelling
from mesh.client.credentials import Credentials
from mesh.client.response import UnaryResponse
from mesh.client.stream_connections import StreamConnections
from mesh.client.transport import ATTEMPTS_MAX, MESSAGE_BYTES_MAX
from mesh.errors import Code, Metadata, Unavailable
from mesh.rpc.call_error import CallError

_SETTLED = frozenset({grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.SHUTDOWN})

_OPTIONS: list[tuple[str, Any]] = [
    # Reconnect to a restarted workload within a second; gRPC's default back-off grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Despite its name, this limits one attempt to connect, including TLS and the server's first frame.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # Without this, channels to one address share a connection, and a second channel would wait for the back-off of the
    # first.
    ("grpc.use_local_subchannel_pool", 1),
]

# How the library starts the messages of statuses that it makes itself, where it received no valid one.
_NO_STATUS: Final = ("Stream removed", "Received http2 header", "Received message larger", "Decompression failed")


class GrpcTransport:
    """Calls over channels of grpc.aio: one for unary calls, and as many for streams as are needed."""

    def __init__(self, address: str, credentials: Credentials | None, keepalive_s: float) -> None:
        """`address` is host:port or [host]:port; nothing is connected yet."""
        options = [*_OPTIONS, ("grpc.keepalive_time_ms", int(keepalive_s * 1000))]
        if credentials is None:
            connect = partial(grpc.aio.insecure_channel, address, options=options)
        else:
            pem = (credentials.authorities, credentials.key, credentials.certificate)
            connect = partial(grpc.aio.secure_channel, address, grpc.ssl_channel_credentials(*pem), options=options)
        self._channel = connect()
        self._methods: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}
        self._streams = StreamConnections(connect)

    async def check(self) -> None:
        """Raises Unavailable if the address can't be reached."""
        state = self._channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.READY:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                raise Unavailable("can't be reached")
            await self._channel.wait_for_state_change(state)
            state = self._channel.get_state(try_to_connect=True)

    async def unary(
        self,
        path: str,
        request: bytes,
        *,
        connect_by: float,
        deadline: float,
        metadata: Metadata,
        attempts_max: int = ATTEMPTS_MAX,
    ) -> UnaryResponse | None:
        """Calls a unary method. Raises CallError. The library decides itself on attempts that no server has begun."""
        await _wait_connected(self._channel, connect_by)
        method = self._methods.get(path)
        if method is None:
            method = self._methods[path] = self._channel.unary_unary(path)
        call = method(request, timeout=deadline - time.monotonic(), metadata=metadata)
        try:
            message = await call
        except grpc.aio.AioRpcError as error:
            raise _call_error(error) from error
        if message is None:
            return None
        return UnaryResponse(message, tuple(await call.initial_metadata()), tuple(await call.trailing_metadata()))

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, *, connect_by: float, deadline: float, metadata: Metadata
    ) -> AsyncIterator["GrpcStream"]:
        """Calls a method of any kind."""
        with self._streams.reserve() as connection:
            await _wait_connected(connection.channel, connect_by)
            left_s = None if deadline == float("inf") else deadline - time.monotonic()
            stream = GrpcStream(connection.method(path)(timeout=left_s, metadata=metadata))
            try:
                yield stream
            finally:
                stream.cancel()

    async def close(self) -> None:
        """Closes all channels."""
        await self._streams.close()
        await self._channel.close()


class GrpcStream:
    """A call of grpc.aio."""

    def __init__(self, call: "grpc.aio.StreamStreamCall[bytes, bytes]") -> None:
        self._call = call
        self._messages = aiter(call)

    async def receive(self) -> bytes | None:
        """Returns the next response, None after the last one. Raises CallError."""
        try:
            return await anext(self._messages, None)
        except grpc.aio.AioRpcError as error:
            raise _call_error(error) from error
        except asyncio.CancelledError:
            if is_cancelling():
                raise
            # The call was cancelled, not this task: by cancel(), or by closing the channel.
            raise CallError(Code.CANCELLED, "the call was cancelled") from None

    async def send(self, message: bytes) -> bool:
        """Sends a request. Returns whether the call goes on.

        Messages bypass call.write(): if one is written after the call has ended, that reports an internal error instead
        of the status that the workload sent.
        """
        raw: Any = self._call
        try:
            await self._call.wait_for_connection()
            await raw._cython_call.send_serialized_message(message)
        except (grpc.aio.AioRpcError, grpc.aio.InternalError, asyncio.InvalidStateError):
            return False
        return True

    async def finish_sending(self) -> None:
        """Ends the requests."""
        with contextlib.suppress(grpc.aio.AioRpcError, grpc.aio.InternalError, asyncio.InvalidStateError):
            await self._call.done_writing()

    async def initial_metadata(self) -> Metadata:
        """Waits for the metadata before the first response, and returns it."""
        return tuple(await self._call.initial_metadata())

    async def trailing_metadata(self) -> Metadata:
        """Waits for the end, and returns the metadata after the last response."""
        return tuple(await self._call.trailing_metadata())

    async def code(self) -> Code:
        """Waits for the end, and returns the status."""
        return Code((await self._call.code()).value[0])

    def is_done(self) -> bool:
        """Returns whether the call has ended."""
        return self._call.done()

    def cancel(self) -> None:
        """Ends the call early."""
        self._call.cancel()


async def _wait_connected(channel: grpc.aio.Channel, until: float) -> None:
    state = channel.get_state(try_to_connect=True)
    if state in _SETTLED:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(until - time.monotonic()):
            while state not in _SETTLED:
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)


def _call_error(error: grpc.aio.AioRpcError) -> CallError:
    text = error.details() or ""
    return CallError(
        Code(error.code().value[0]),
        text,
        is_sent=not text.startswith(_NO_STATUS),
        initial=tuple(error.initial_metadata() or ()),
        trailing=tuple(error.trailing_metadata() or ()),
    )
