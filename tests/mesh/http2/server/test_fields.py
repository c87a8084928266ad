"""The header blocks of requests and responses: RFC 9113, section 8, RFC 7541 and gRPC's PROTOCOL-HTTP2.md."""

import pytest

from tests.mesh.http2.server.scripted import request, serving


@pytest.mark.parametrize("table_bytes", [0, 100, 4_096, 65_536])
async def test_clients_choose_the_size_of_their_table(table_bytes: int) -> None:
    """The first block of the server updates the size, which clients with a smaller table wait for (RFC 7541, 4.2)."""
    async with serving() as served, served.client({1: table_bytes}) as client:
        client.decoder.max_allowed_table_size = table_bytes
        client.send(request(1), request(3))
        assert [(await client.response(stream)).code for stream in (1, 3)] == ["0", "0"]
