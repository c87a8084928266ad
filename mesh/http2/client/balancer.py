"""The connections to a name: its addresses, whose streams are balanced round robin.

https://github.com/grpc/grpc/blob/master/doc/load-balancing.md
"""

import asyncio
import contextlib
import itertools
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from mesh.http2.client.connection import ClientConnection
from mesh.http2.client.endpoint import Endpoint
from mesh.http2.statuses import unavailable

RESOLVE_PAUSE_S: Final = 1.0
"""The shortest time between two lookups of the name."""

ALPN: Final = "h2"

_Address = tuple[socket.AddressFamily, str, int]


class Balancer:
    """The connections to all addresses of a host. It looks the host up at the first use, and again when a connection
    has ended or could not be made.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, keepalive_s: float) -> None:
        """With `tls` the server must choose HTTP/2 by ALPN. `keepalive_s` is that of ClientConnection."""
        self._host = host
        self._port = port
        self._tls = tls
        self._keepalive_s = keepalive_s
        self._endpoints: dict[_Address, Endpoint] = {}
        self._retired: list[Endpoint] = []
        """The addresses that the name has lost, while streams to them go on."""
        self._turns: deque[Endpoint] = deque()
        self._resolving: asyncio.Task[None] | None = None
        self._resolved_at = -RESOLVE_PAUSE_S
        self._waiters: dict[asyncio.Event, None] = {}
        self._error: Exception | None = None
        self._is_closed = False

    @property
    def is_connected(self) -> bool:
        """Returns whether any address is connected, with or without room for a stream."""
        return any(endpoint.is_connected for endpoint in self._turns)

    @property
    def error(self) -> Exception | None:
        """Returns why no address can be reached, None if one is connected or may be soon."""
        if not self._turns:
            return self._error
        errors = [None if endpoint.is_connected else endpoint.error for endpoint in self._turns]
        return None if None in errors else errors[0]

    def pick(self) -> ClientConnection | None:
        """Returns a connection with room for a stream, of the next address that has one. If none has, begins to connect
        and returns None, as where others wait, who have been there first.
        """
        if self._waiters:
            self._expand()
            return None
        return self._find()

    async def wait(self, until: float, *, fails_fast: bool = False) -> ClientConnection:
        """Waits in turn for a connection with room for a stream, until a time.monotonic() second; if it `fails_fast`,
        only until an attempt to connect to each address has failed. Raises CallError.
        """
        if (connection := self.pick()) is not None:
            return connection
        with self._waiting() as change:
            while connection is None:
                is_over = self._is_closed or (fails_fast and self.error is not None)
                if is_over or not await _wait_for(change, until):
                    why = self.error or "it takes too long"
                    raise unavailable(f"failed to connect to all addresses of {self._host}, port {self._port}: {why}")
                connection = self._find()
            return connection

    async def wait_connected_or_failed(self) -> None:
        """Waits until any address is connected, or the last attempts to reach each have failed."""
        with self._waiting() as change:
            while not self._is_closed and self._find() is None and not self.is_connected and self.error is None:
                await _wait_for(change, time.monotonic() + RESOLVE_PAUSE_S)

    def close(self) -> None:
        """Closes all connections."""
        self._is_closed = True
        if self._resolving is not None:
            self._resolving.cancel()
        for endpoint in (*self._endpoints.values(), *self._retired):
            endpoint.close()
        self._wake(len(self._waiters))

    def _find(self) -> ClientConnection | None:
        for endpoint in self._turns:
            if (connection := endpoint.pick()) is not None:
                if len(self._turns) > 1:
                    self._turns.rotate(-1 - self._turns.index(endpoint))
                return connection
        self._expand()
        return None

    def _expand(self) -> None:
        """Opens connections: one to each address that has none, otherwise one to the next that may have more."""
        if self._is_closed:
            return
        if not self._turns:
            self._resolve()
            return
        unconnected = [endpoint for endpoint in self._turns if not endpoint.is_connected]
        for endpoint in unconnected or [endpoint for endpoint in self._turns if endpoint.may_grow][:1]:
            endpoint.want()
        self._turns.rotate(-1)

    def _resolve(self) -> None:
        if self._resolving is None and not self._is_closed:
            self._resolving = asyncio.create_task(self._resolve_in_time(), name=f"resolve {self._host}")

    async def _resolve_in_time(self) -> None:
        await asyncio.sleep(self._resolved_at + RESOLVE_PAUSE_S - time.monotonic())
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except Exception as error:  # noqa: BLE001 # also that no thread can be started; the last addresses may be right
            self._error = error
        else:
            self._error = None
            self._use(list(dict.fromkeys((family, str(at[0]), int(at[1])) for family, *_, at in found)))
        self._resolved_at, self._resolving = time.monotonic(), None
        self._changed()

    def _use(self, addresses: list[_Address]) -> None:
        """Replaces the addresses."""
        for address in self._endpoints.keys() - set(addresses):
            endpoint = self._endpoints.pop(address)
            endpoint.retire()
            self._retired.append(endpoint)
        self._retired = [endpoint for endpoint in self._retired if endpoint.has_streams]
        for address in addresses:
            if address not in self._endpoints:
                self._endpoints[address] = Endpoint(partial(self._connect, address), self._endpoint_changed)
        self._turns = deque(self._endpoints.values())
        for endpoint in self._turns:
            if not endpoint.is_connected:
                endpoint.want()

    async def _connect(self, address: _Address, on_change: Callable[[ClientConnection], None]) -> ClientConnection:
        family, host, port = address
        options: dict[str, Any] = {} if self._tls is None else {"ssl": self._tls, "server_hostname": self._host}
        loop = asyncio.get_running_loop()
        transport, connection = await loop.create_connection(
            lambda: ClientConnection(self._keepalive_s, on_change, self._changed), host, port, family=family, **options
        )
        with contextlib.ExitStack() as stack:
            stack.callback(connection.close)
            if self._tls is not None and transport.get_extra_info("ssl_object").selected_alpn_protocol() != ALPN:
                raise unavailable("the server does not choose HTTP/2 by ALPN")  # RFC 9113, section 3.3
            await connection.ready
            stack.pop_all()
        return connection

    def _endpoint_changed(self) -> None:
        if any(not endpoint.is_connected for endpoint in self._turns):
            self._resolve()
        self._changed()

    def _changed(self) -> None:
        if self._waiters:
            self._wake(len(self._waiters) if not self.is_connected else self._room())

    def _room(self) -> int:
        connection = self._find()
        return 0 if connection is None else connection.room

    def _wake(self, count: int) -> None:
        """Continues those that have waited longest. They keep their places until they have what they wait for."""
        for change in itertools.islice(self._waiters, count):
            change.set()

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[asyncio.Event]:
        """Waits in turn while the context lasts: the event is set after a change. Then the next ones may use the room
        that is left, if there is any: all that wait for a connection in vain would otherwise wake each other.
        """
        change = asyncio.Event()
        self._waiters[change] = None
        try:
            yield change
        finally:
            del self._waiters[change]
            if self._waiters and self.is_connected:
                self._wake(self._room())


async def _wait_for(change: asyncio.Event, until: float) -> bool:
    """Waits for an event, and clears it. Returns False when the time is over."""
    if until <= time.monotonic():
        return False
    try:
        async with asyncio.timeout(until - time.monotonic()):
            await change.wait()
    except TimeoutError:
        return False
    change.clear()
    return True
