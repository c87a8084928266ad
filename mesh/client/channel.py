"""The channel to a workload whose contract is known."""

import contextlib
import math
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from mesh.client.failures import broken_response
from mesh.client.raw_channel import RawChannel
from mesh.client.stream import Stream
from mesh.contract.policy import DEFAULT_TIMEOUT_S
from mesh.errors import Metadata
from mesh.identity import ServiceTokens
from mesh.rpc import CLIENT_ADDRESS, WORKLOAD, Method, Req, Res, current_call
from mesh.rpc.parse_errors import PARSE_ERRORS
from mesh.telemetry import correlation, tracing


class Channel(RawChannel):
    """A channel that calls the methods of a contract, with the deadline and the token of the call being handled."""

    def __init__(
        self,
        workload: str,
        address: str,
        *,
        caller: str = "",
        tokens: ServiceTokens | None = None,
        in_mesh: bool = False,
    ) -> None:
        """Opens the channel. `caller` is the name of this workload, by which the other one checks whether its contract
        admits the call. `tokens` are needed for calls that this process makes as itself. `in_mesh` leaves the identity
        of the caller to a service mesh, beside what it means for RawChannel.
        """
        super().__init__(workload, address, in_mesh=in_mesh)
        self._caller = "" if in_mesh else caller
        self._tokens = tokens

    async def call(self, method: Method[Req, Res], request: Req, *, timeout_s: float | None = None) -> Res:
        """Calls a unary method. `timeout_s` defaults to the timeout of the contract; a call made while another call is
        handled also ends at that call's deadline.

        Raises the MeshError that the workload returned, Unavailable or DeadlineExceeded.
        """
        metadata = await self._metadata(method)  # may take time, which the patience must not include
        reply = await self.unary(
            method.path,
            request.to_binary(),
            timeout_s=timeout_s or method.policy.timeout_s or DEFAULT_TIMEOUT_S,
            patience_s=_patience_s(),
            metadata=metadata,
            idempotent=method.idempotent,
        )
        return _parse(method, reply.message)

    def open(
        self, method: Method[Req, Res], request: Req, *, timeout_s: float | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Res]]:
        """Calls a server-streaming method. Leaving the context ends the call: see exchange()."""
        return self.exchange(method, _single(request), timeout_s=timeout_s)

    async def collect(
        self, method: Method[Req, Res], requests: AsyncIterable[Req], *, timeout_s: float | None = None
    ) -> Res:
        """Calls a client-streaming method. Raises as exchange() does."""
        async with self.exchange(method, requests, timeout_s=timeout_s) as responses:
            async for response in responses:
                return response
        raise broken_response()

    @contextlib.asynccontextmanager
    async def exchange(
        self, method: Method[Req, Res], requests: AsyncIterable[Req], *, timeout_s: float | None = None
    ) -> AsyncIterator[AsyncIterator[Res]]:
        """Calls a method of any kind and iterates over its responses; leaving the context early cancels the call.
        `requests` are read one at a time, as fast as the workload accepts them.

        The deadline is `timeout_s`, or the contract's timeout; without either the stream has none. A call made while
        another call is handled also ends at that call's deadline. Iterating raises the MeshError that the workload
        ended the stream with, or the exception that ended `requests`.
        """
        metadata = await self._metadata(method)
        async with self.stream(
            method.path,
            _serialised(requests),
            timeout_s=timeout_s or method.policy.timeout_s,
            patience_s=_patience_s(),
            metadata=metadata,
        ) as responses:
            yield _parsed(method, responses)

    async def _metadata(self, method: Method[Any, Any]) -> Metadata:
        headers = dict(tracing.inject())
        call = current_call.get()
        token = call.caller.token if call is not None and not method.policy.internal else ""
        if not token and self._tokens is not None:
            token = await self._tokens.token()
        if token:
            headers["authorization"] = f"Bearer {token}"
        if self._caller:
            headers[WORKLOAD] = self._caller
        if request_id := correlation.request_id():
            headers[correlation.REQUEST_ID] = request_id
        if call is not None and (address := call.metadata.get(CLIENT_ADDRESS)):
            headers[CLIENT_ADDRESS] = address
        return tuple(headers.items())


def _patience_s() -> float:
    """Returns the seconds left for the call being handled; infinity outside of a call."""
    call = current_call.get()
    return math.inf if call is None else call.remaining_s()


async def _single(message: Req) -> AsyncIterator[Req]:
    yield message


async def _serialised(requests: AsyncIterable[Req]) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request.to_binary()


async def _parsed(method: Method[Req, Res], responses: Stream) -> AsyncIterator[Res]:
    async for response in responses:
        yield _parse(method, response)


def _parse(method: Method[Req, Res], message: bytes) -> Res:
    """Parses a response. Raises BrokenResponse if the bytes are not a message of the contract's type."""
    try:
        return method.response.from_binary(message)
    except PARSE_ERRORS as error:
        raise broken_response() from error
