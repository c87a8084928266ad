"""The memory of the edge when all its limits are reached at the same time, compared with that of its container."""

from pathlib import Path
from typing import Final

import structlog

from edge.call.allowances import ENTRIES_MAX
from edge.call.response_reader import AHEAD_BYTES_MAX
from edge.http.head_size import HEADER_BYTES, HEADERS_MAX
from edge.http.http1_protocol import BODY_BYTES_AHEAD
from edge.http.reply_writer import BYTES_FREE
from edge.settings import EdgeSettings
from edge.workers.worker_settings import worker_settings
from mesh.http2.windows import WINDOW_BYTES
from mesh.identity import TOKEN_BYTES_MAX, Verifier

log = structlog.get_logger()

# Measured (docs/decisions/0018-limits.md): resident bytes.
_BASE_BYTES: Final = 120_000_000
_METHOD_BYTES: Final = 55_000
_CONNECTION_BYTES: Final = 10_000
_STREAM_BYTES: Final = 60_000
_LARGE_WORK_BYTES: Final = 48_000_000
_ALLOWANCE_BYTES: Final = 550

_CONTAINER_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")  # cgroup v2: bytes, or the word "max"


def memory_bytes(settings: EdgeSettings, methods: int) -> dict[str, int]:
    """Returns the bytes that the limits of these settings allow, by what takes them, when each of the contract's
    `methods` has been called.
    """
    head = settings.head_bytes_max + HEADERS_MAX * HEADER_BYTES
    connection = _CONNECTION_BYTES + head + BODY_BYTES_AHEAD + BYTES_FREE
    share = worker_settings(settings)
    of_each_worker = {
        "base": _BASE_BYTES,
        "methods": methods * _METHOD_BYTES,
        "connections": share.connections_max * connection,
        "streams": share.concurrent_streams_max * (_STREAM_BYTES + AHEAD_BYTES_MAX + WINDOW_BYTES),
        "held": share.held_bytes_max,
        "large_work": _LARGE_WORK_BYTES,
        "tokens": Verifier.REMEMBERED_MAX * TOKEN_BYTES_MAX,
    }
    parts = {name: settings.workers * count for name, count in of_each_worker.items()}
    return {**parts, "rate_limits": ENTRIES_MAX * _ALLOWANCE_BYTES}


def warn_of_little_memory(settings: EdgeSettings, methods: int, container_limit: Path = _CONTAINER_LIMIT) -> None:
    """Logs a warning if the limits of these settings, and a contract with so many methods, allow more than the memory
    of the container.
    """
    try:
        limit = container_limit.read_text().strip()
    except OSError:
        return
    parts = memory_bytes(settings, methods)
    if limit.isdigit() and sum(parts.values()) > int(limit):
        log.warning(
            "the limits allow more memory than the container has: set lower limits, or give it more",
            allowed_bytes=sum(parts.values()),
            container_bytes=int(limit),
            **parts,
        )
