"""Both transports for every test of channels."""

import pytest

from mesh.client import GrpcTransport, Http2Transport, raw_channel
from mesh.client.transport import OpenTransport


@pytest.fixture(autouse=True, params=[GrpcTransport, Http2Transport])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> OpenTransport:
    """Makes this the transport of channels."""
    opened: OpenTransport = request.param
    monkeypatch.setattr(raw_channel, "GrpcTransport", opened)
    return opened
