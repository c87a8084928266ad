"""Connections to a workload: how they are made, and the wait for one that is being made."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import grpc.aio

CONNECT_S = 1.2  # a little more than the longest pause between two tries to connect
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
KEEPALIVE_S = 30.0
"""What mesh.server lets its clients do."""

_SETTLED = frozenset({grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.SHUTDOWN})

_OPTIONS: list[tuple[str, Any]] = [
    # A workload that was restarted is found again within a second; gRPC's own back-off grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # In spite of its name this is how long one try to connect may take, TLS and the server's first frame included.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # Without this, channels to one address share a connection, and a second channel would wait for the back-off of the
    # first.
    ("grpc.use_local_subchannel_pool", 1),
]


def connector(
    address: str, credentials: grpc.ChannelCredentials | None, keepalive_s: float
) -> Callable[[], grpc.aio.Channel]:
    """Returns what makes channels to an address, each with a connection of its own."""
    options = [*_OPTIONS, ("grpc.keepalive_time_ms", int(keepalive_s * 1000))]
    if credentials is None:
        return partial(grpc.aio.insecure_channel, address, options=options)
    return partial(grpc.aio.secure_channel, address, credentials, options=options)


async def connected(channel: grpc.aio.Channel, until: float) -> None:
    """Waits for a connection that is being made, as when a workload restarts: a call fails at once if the try to
    connect that it waits for does. `until` is a time.monotonic() second.
    """
    state = channel.get_state(try_to_connect=True)
    if state in _SETTLED:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(until - time.monotonic()):
            while state not in _SETTLED:
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)


def connect_by(timeout_s: float | None) -> float:
    """The time.monotonic() second until which a call waits for its connection: time is left for the call."""
    return time.monotonic() + (CONNECT_S if timeout_s is None else min(CONNECT_S, timeout_s / 2))
