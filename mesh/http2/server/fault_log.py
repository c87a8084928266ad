"""Log lines about clients that a server refuses. Clients could fill the log with them."""

import time
from typing import Final

import structlog

from mesh.errors import Code
from mesh.rpc.call_error import CallError

PAUSE_S: Final = 10.0
"""The time between two warnings of one kind."""

PATH_CHARS_MAX: Final = 200

log = structlog.get_logger()


class FaultLog:
    """Warnings, each with the number of those that it stands for: `count`."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._due: dict[str, float] = {}

    def connection_failed(self, client: str, error: CallError) -> None:
        """Records a connection that ends because of what its client sent or did not read."""
        self._warn("connection failed", client=client, error=error.text)

    def call_refused(self, path: str, error: CallError) -> None:
        """Records a call that ends before its handler: a warning if a limit was reached."""
        record = self._warn if error.code is Code.RESOURCE_EXHAUSTED else log.debug
        record("call refused", method=path[:PATH_CHARS_MAX], code=error.code.name, error=error.text)

    def _warn(self, event: str, **facts: str) -> None:
        now = time.monotonic()
        self._counts[event] = self._counts.get(event, 0) + 1
        if now >= self._due.get(event, now):
            log.warning(event, count=self._counts.pop(event), **facts)
            self._due[event] = now + PAUSE_S
