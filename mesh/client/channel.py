"""The channel to a workload whose contract is known."""

import contextlib
import math
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from mesh.client.failures import broken_reply
from mesh.client.raw_channel import RawChannel
from mesh.client.stream import Stream
from mesh.contract.policy import DEFAULT_TIMEOUT_S
from mesh.errors import Metadata
from mesh.identity import ServiceTokens
from mesh.rpc import CLIENT_ADDRESS, WORKLOAD, Method, Req, Res, current_call
from mesh.telemetry import correlation, tracing


class Channel(RawChannel):
    """Calls the methods of a contract, with the deadline and the token of the call being handled."""

    def __init__(
        self,
        workload: str,
        address: str,
        *,
        caller: str = "",
        tokens: ServiceTokens | None = None,
        in_mesh: bool = False,
    ) -> None:
        """`caller` is the workload that calls, by which the other one tells whether its contract allows that. `tokens`
        are needed for calls that this process makes as itself. `in_mesh` leaves to a service mesh who calls, and what
        RawChannel says.
        """
        super().__init__(workload, address, in_mesh=in_mesh)
        self._caller = "" if in_mesh else caller
        self._tokens = tokens

    async def call(self, method: Method[Req, Res], request: Req, *, timeout_s: float | None = None) -> Res:
        """Calls a method of a contract within `timeout_s`, the contract's timeout unless given. The caller waits no
        longer than the call being handled has left.

        Raises the MeshError that the workload answered with, or Unavailable, or DeadlineExceeded.
        """
        reply = await self.unary(
            method.path,
            request.to_binary(),
            timeout_s=timeout_s or method.policy.timeout_s or DEFAULT_TIMEOUT_S,
            patience_s=_patience_s(),
            metadata=await self._metadata(method),
            idempotent=method.idempotent,
        )
        return _parse(method, reply.message)

    def open(
        self, method: Method[Req, Res], request: Req, *, timeout_s: float | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Res]]:
        """Calls a method that answers a stream, while this is entered: see exchange()."""
        return self.exchange(method, _single(request), timeout_s=timeout_s)

    async def collect(
        self, method: Method[Req, Res], requests: AsyncIterable[Req], *, timeout_s: float | None = None
    ) -> Res:
        """Calls a method that takes a stream and answers one message. Raises as exchange() does."""
        async with self.exchange(method, requests, timeout_s=timeout_s) as responses:
            async for response in responses:
                return response
        raise broken_reply()

    @contextlib.asynccontextmanager
    async def exchange(
        self, method: Method[Req, Res], requests: AsyncIterable[Req], *, timeout_s: float | None = None
    ) -> AsyncIterator[AsyncIterator[Res]]:
        """Calls a method with a stream of messages for a stream of messages, while this is entered; leaving it early
        cancels the call. `requests` are taken one by one as fast as the workload takes them.

        The deadline is `timeout_s` or the contract's; without both the stream has none. It is given up earlier if the
        call being handled has less time. Iterating raises the MeshError that the workload ended the stream with, or
        the exception that ended `requests`.
        """
        async with self.stream(
            method.path,
            _serialised(requests),
            timeout_s=timeout_s or method.policy.timeout_s,
            patience_s=_patience_s(),
            metadata=await self._metadata(method),
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
    """The seconds that are left for the call being handled."""
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
    """Reads a response. Raises BrokenReply if the bytes are no message of the contract."""
    try:
        return method.response.from_binary(message)
    except (ValueError, EOFError) as error:
        raise broken_reply() from error
