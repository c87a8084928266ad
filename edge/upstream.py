"""The seam to the services: bytes in, bytes out. What carries them can be replaced behind it."""

import asyncio
import math
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final, Protocol, Self

import grpc

from edge.address import ANY_SERVICE, Address
from mesh.client import Channel, UnaryReply
from mesh.errors import Metadata, Unavailable

KEEPALIVE_S: Final = 310.0
"""By default gRPC's servers close the connection, and all streams with it, of who pings more often than every five
minutes while nothing else travels: https://github.com/grpc/grpc/blob/master/doc/keepalive.md.
"""

REACH_S: Final = 1.0
"""How long /readyz waits for a connection."""


class Responses(Protocol):
    """The messages of a response. Iterating raises the MeshError that ended the call, or what ended the requests."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def initial_metadata(self) -> Metadata:
        """The metadata before the first message; waits for it."""

    async def trailing_metadata(self) -> Metadata:
        """The metadata after the last message; waits for the end."""


class Upstream(Protocol):
    """The way to one workload."""

    async def unary(
        self,
        path: str,
        request: bytes,
        *,
        timeout_s: float,
        patience_s: float = math.inf,
        metadata: Metadata = (),
        idempotent: bool = False,
    ) -> UnaryReply:
        """Calls "/package.Service/Method". The service is told `timeout_s`; `patience_s`, if shorter, is how long this
        caller waits. Raises the MeshError that the service answered with, Unavailable if it can't be reached,
        DeadlineExceeded if it takes too long.
        """

    def stream(
        self,
        path: str,
        requests: AsyncIterable[bytes],
        *,
        timeout_s: float | None,
        patience_s: float = math.inf,
        metadata: Metadata = (),
    ) -> AbstractAsyncContextManager[Responses]:
        """A call of any kind, while this is entered; leaving it early cancels the call. `requests` are taken one by one
        as fast as the service takes them. Entering raises Unavailable if the service is known to be away.
        """


class Upstreams:
    """One channel to each address, open while this is entered; and the check of them that /readyz asks."""

    name = "upstreams"

    def __init__(
        self,
        addresses: Mapping[str, Address],
        credentials: grpc.ChannelCredentials | None = None,
        *,
        bare_messages: bool = False,
        in_mesh: bool = False,
    ) -> None:
        """`addresses` gives the address of each service; ANY_SERVICE stands for all others. `credentials` are for
        addresses that speak TLS. `bare_messages` and `in_mesh` are as of mesh.client.Channel.
        """
        services: dict[Address, list[str]] = {}
        others = "all services" if len(addresses) == 1 else "all other services"
        for service, address in addresses.items():
            services.setdefault(address, []).append(others if service == ANY_SERVICE else service)
        self.channels = {
            address: Channel(
                ", ".join(names),
                address.target,
                credentials=credentials if address.secure else None,
                keepalive_s=KEEPALIVE_S,
                bare_messages=bare_messages,
                in_mesh=in_mesh,
            )
            for address, names in services.items()
        }
        self._of_service = {service: self.channels[address] for service, address in addresses.items()}
        self._awaited = set(self.channels.values())
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for channel in self.channels.values():
            await self._stack.enter_async_context(channel)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def check(self) -> None:
        """Raises Unavailable until every workload has been reached once, and later if none can be reached: what one
        that went away cannot answer is 503, and no reason to take all others from the public.
        """
        channels = list(self.channels.values())
        answers = await asyncio.gather(*map(_is_away, channels))
        away = [channel for channel, is_away in zip(channels, answers, strict=True) if is_away]
        self._awaited &= set(away)
        if self._awaited or len(away) == len(channels):
            raise Unavailable(f"can't reach {', '.join(channel.name for channel in away)}")

    def __getitem__(self, service: str) -> Upstream:
        return self._of_service.get(service) or self._of_service[ANY_SERVICE]


async def _is_away(channel: Channel) -> bool:
    try:
        async with asyncio.timeout(REACH_S):
            await channel.check()
    except (Unavailable, TimeoutError):
        return True
    return False


class Nowhere:
    """The way to a service that is not there: for looking at a contract without its services."""

    def __init__(self, service: str) -> None:
        self._service = service

    async def unary(
        self,
        path: str,
        request: bytes,
        *,
        timeout_s: float,
        patience_s: float = math.inf,
        metadata: Metadata = (),
        idempotent: bool = False,
    ) -> UnaryReply:
        """Raises Unavailable."""
        raise Unavailable(f"{self._service} has no address.")

    def stream(
        self,
        path: str,
        requests: AsyncIterable[bytes],
        *,
        timeout_s: float | None,
        patience_s: float = math.inf,
        metadata: Metadata = (),
    ) -> AbstractAsyncContextManager[Responses]:
        """Raises Unavailable."""
        raise Unavailable(f"{self._service} has no address.")
