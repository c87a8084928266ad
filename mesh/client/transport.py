"""The interface of transports, which carry calls to one address; gRPC's library and mesh.http2 implement it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from mesh.client.credentials import Credentials
from mesh.client.response import UnaryResponse
from mesh.errors import Code, Metadata

ATTEMPTS_MAX: Final = 3
"""How often one call is made in all. Transports make calls again that servers have not begun, which is safe for any
call: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#transparent-retries. Channels make idempotent
calls again with the attempts that are left.
"""

CONNECT_S: Final = 1.2  # a little more than the longest pause between two attempts to connect
MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
KEEPALIVE_S: Final = 30.0
"""The default pause between keepalive pings; mesh.server accepts as many."""


class StreamCall(Protocol):
    """A call of any kind in progress. Its methods raise CallError if it has failed, except where they say otherwise."""

    async def receive(self) -> bytes | None:
        """Returns the next response, None after the last one."""

    async def send(self, message: bytes) -> bool:
        """Sends a request as soon as the server accepts it. Returns False if the call has ended, and does not raise."""

    async def finish_sending(self) -> None:
        """Ends the requests. Does not raise if the call has ended."""

    async def initial_metadata(self) -> Metadata:
        """Waits for the metadata before the first response, and returns it. Does not raise CallError."""

    async def trailing_metadata(self) -> Metadata:
        """Waits for the end of the call, and returns the metadata after the last response. Does not raise CallError."""

    async def code(self) -> Code:
        """Waits for the end of the call, and returns its status. Does not raise CallError."""

    def is_done(self) -> bool:
        """Returns whether the call has ended."""

    def cancel(self) -> None:
        """Ends the call early: receive() raises CallError CANCELLED."""


class Transport(Protocol):
    """The calls to one address."""

    async def check(self) -> None:
        """Raises Unavailable if the address can't be reached."""

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
        """Calls a unary method. Returns None for the status OK without a message. Raises CallError with the number of
        attempts.

        `deadline` is a time.monotonic() second. Until the second `connect_by` the call waits for its connection:
        without this, it fails with the first failed attempt to connect, as when a workload restarts.
        """

    def stream(
        self, path: str, *, connect_by: float, deadline: float, metadata: Metadata
    ) -> AbstractAsyncContextManager[StreamCall]:
        """Calls a method of any kind, after waiting for a connection as unary() does. `deadline` may be infinity.
        Raises CallError.
        """

    async def close(self) -> None:
        """Closes all connections, which ends their calls."""


OpenTransport = Callable[[str, Credentials | None, float], Transport]
"""Opens a transport: the address as host:port, the credentials for TLS, the pause between keepalive pings."""
