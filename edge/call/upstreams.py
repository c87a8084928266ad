"""The channels to all upstreams."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final, Literal, Self

from edge.call.address import ANY_SERVICE, Address
from edge.call.upstream import Upstream
from mesh.client import Credentials, Http2Transport, OpenTransport, RawChannel
from mesh.errors import Unavailable

KEEPALIVE_S: Final = 310.0
"""The interval of pings. By default gRPC servers close an otherwise idle connection that is pinged more often than
every five minutes: https://github.com/grpc/grpc/blob/master/doc/keepalive.md.
"""

TransportName = Literal["grpc", "http2"]
"""gRPC's library, or our own HTTP/2."""

REACH_S: Final = 1.0
"""The time that /readyz waits for a connection."""


class Upstreams:
    """One channel to each address, open inside the context, and their readiness check for /readyz."""

    name = "upstreams"

    def __init__(
        self,
        addresses: Mapping[str, Address],
        credentials: Credentials | None = None,
        *,
        bare_messages: bool = False,
        in_mesh: bool = False,
        transport: TransportName = "http2",
    ) -> None:
        """`addresses` maps services to their addresses; ANY_SERVICE stands for all others. `credentials` are for
        addresses with TLS. `bare_messages` and `in_mesh` are those of mesh.client.RawChannel, `transport` is the
        implementation of gRPC.
        """
        services: dict[Address, list[str]] = {}
        for service, address in addresses.items():
            services.setdefault(address, []).append(service)
        self.channels = {
            address: RawChannel(
                ", ".join(names),
                address.target,
                credentials=credentials if address.secure else None,
                keepalive_s=KEEPALIVE_S,
                bare_messages=bare_messages,
                in_mesh=in_mesh,
                transport=_open_transport(transport),
            )
            for address, names in services.items()
        }
        self._of_service = {service: self.channels[address] for service, address in addresses.items()}
        self._never_reached = set(self.channels.values())
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for channel in self.channels.values():
            await self._stack.enter_async_context(channel)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def check(self) -> None:
        """Raises Unavailable until every workload has been reached once, and later only if none can be reached: calls
        of one that is down fail with 503, but the others must stay available.
        """
        channels = list(self.channels.values())
        answers = await asyncio.gather(*map(_is_unreachable, channels))
        unreachable = [channel for channel, is_unreachable in zip(channels, answers, strict=True) if is_unreachable]
        self._never_reached &= set(unreachable)
        if self._never_reached or len(unreachable) == len(channels):
            raise Unavailable(f"can't connect to the upstream of {', '.join(channel.name for channel in unreachable)}")

    def __getitem__(self, service: str) -> Upstream:
        return self._of_service.get(service) or self._of_service[ANY_SERVICE]


def _open_transport(name: TransportName) -> OpenTransport:
    if name == "http2":
        return Http2Transport
    from mesh.client.grpc_transport import GrpcTransport  # takes 9 MB, so it is loaded only where it is used

    return GrpcTransport


async def _is_unreachable(channel: RawChannel) -> bool:
    try:
        async with asyncio.timeout(REACH_S):
            await channel.check()
    except (Unavailable, TimeoutError):
        return True
    return False
