"""Readiness with reachable and unreachable workloads."""

import asyncio
import contextlib

import pytest

from edge.call.address import Address
from edge.call.upstreams import Upstreams
from edge.contract.contract import Contract
from mesh.errors import Unavailable
from tests.edge.backend import backend_of
from tests.edge.served import TRANSPORT


async def checked(upstreams: Upstreams) -> None:
    """Waits until a check raises, because a channel needs a moment to notice that its server has stopped."""
    while True:
        await upstreams.check()
        await asyncio.sleep(0.02)


async def test_readiness_needs_all_once_and_then_any(library: Contract) -> None:
    """A new edge is ready once every workload has been reached, and stays so while any can be reached. The error has
    the names of the settings.
    """
    async with contextlib.AsyncExitStack() as one, contextlib.AsyncExitStack() as other:
        ports = [(await stack.enter_async_context(backend_of(library.registry))).port for stack in (one, other)]
        addresses = {f"service_{port}": Address("127.0.0.1", port, secure=False) for port in ports}
        nowhere = dict.fromkeys(("missing", "*"), Address("127.0.0.1", 1, secure=False))
        async with (
            Upstreams(addresses, transport=TRANSPORT) as upstreams,
            Upstreams(addresses | nowhere, transport=TRANSPORT) as waiting,
        ):
            await upstreams.check()
            with pytest.raises(Unavailable, match=r"^can't connect to the upstream of missing, \*$"):
                await waiting.check()
            await one.aclose()
            await upstreams.check()
            await other.aclose()
            with pytest.raises(Unavailable, match=rf"^can't connect to the upstream of {', '.join(addresses)}$"):
                await checked(upstreams)
