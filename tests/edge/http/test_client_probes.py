"""The probes of clients that are silent."""

import asyncio
import socket
import sys

import pytest

from edge.http.client_probes import COUNT, PAUSE_S, SILENCE_S
from edge.http.http1_protocol import Http1Protocol
from tests.edge.served import Client
from tests.garbage import living


@pytest.mark.skipif(sys.platform != "linux", reason="not every system has each option")
async def test_an_accepted_connection_has_the_probes(client: Client) -> None:
    """It inherits them from the socket that listens."""
    _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    address = writer.get_extra_info("sockname")
    async with asyncio.timeout(30):
        while not (served := [each for each in living(Http1Protocol) if each.client == address]):
            await asyncio.sleep(0.01)
    accepted = served[0].transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    options = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT]
    assert [accepted.getsockopt(socket.IPPROTO_TCP, each) for each in options] == [SILENCE_S, PAUSE_S, COUNT]
    writer.close()
    await writer.wait_closed()
