"""Calls to other workloads: channels, streams, failures, circuit breaker. Knows contracts and tokens, but no server."""

from mesh.client.channel import Channel
from mesh.client.raw_channel import RawChannel
from mesh.client.response import UnaryResponse
from mesh.client.stream import Stream

__all__ = ["Channel", "RawChannel", "Stream", "UnaryResponse"]
