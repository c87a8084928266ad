"""Both transports for every test of channels."""

import pytest

from mesh.client import Http2Transport, OpenTransport, RawChannel
from mesh.client.grpc_transport import GrpcTransport


@pytest.fixture(autouse=True, params=[GrpcTransport, Http2Transport])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> OpenTransport:
    """Makes this the transport of channels."""
    opened: OpenTransport = request.param
    monkeypatch.setitem(RawChannel.__init__.__kwdefaults__ or {}, "transport", opened)
    return opened
