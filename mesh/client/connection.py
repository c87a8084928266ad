"""Connections to a workload: their options, and the wait for one that is being established."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import grpc.aio

CONNECT_S = 1.2  # a little more than the longest pause between two attempts to connect
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
KEEPALIVE_S = 30.0
"""The default pause between keepalive pings; mesh.server accepts as many."""

_SETTLED = frozenset({grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.SHUTDOWN})

_OPTIONS: list[tuple[str, Any]] = [
    # Reconnect to a restarted workload within a second; gRPC's default back-off grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Despite its name, this limits one attempt to connect, including TLS and the server's first frame.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # Without this, channels to one address share a connection, and a second channel would wait for the back-off of the
    # first.
    ("grpc.use_local_subchannel_pool", 1),
]


def channel_factory(
    address: str, credentials: grpc.ChannelCredentials | None, keepalive_s: float
) -> Callable[[], grpc.aio.Channel]:
    """Returns a function that opens channels to an address, each with a connection of its own."""
    options = [*_OPTIONS, ("grpc.keepalive_time_ms", int(keepalive_s * 1000))]
    if credentials is None:
        return partial(grpc.aio.insecure_channel, address, options=options)
    return partial(grpc.aio.secure_channel, address, credentials, options=options)


async def wait_connected(channel: grpc.aio.Channel, until: float) -> None:
    """Waits until the channel is connected, or until the time.monotonic() second `until`. Without this, a call fails
    with the first failed attempt to connect, as when a workload restarts.
    """
    state = channel.get_state(try_to_connect=True)
    if state in _SETTLED:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(until - time.monotonic()):
            while state not in _SETTLED:
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)


def connect_deadline(timeout_s: float | None) -> float:
    """Returns the time.monotonic() second until which a call waits for its connection, early enough to leave time for
    the call itself.
    """
    return time.monotonic() + (CONNECT_S if timeout_s is None else min(CONNECT_S, timeout_s / 2))
