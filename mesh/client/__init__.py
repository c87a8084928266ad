"""Calls to other workloads: channels, streams, failures, circuit breaker. Knows contracts and tokens, but no server."""

from mesh.client.channel import Channel
from mesh.client.credentials import Credentials
from mesh.client.http2_transport import Http2Transport
from mesh.client.raw_channel import RawChannel
from mesh.client.response import UnaryResponse
from mesh.client.stream import Stream
from mesh.client.transport import OpenTransport

__all__ = [
    "Channel",
    "Credentials",
    "Http2Transport",
    "OpenTransport",
    "RawChannel",
    "Stream",
    "UnaryResponse",
]
