"""One connection of the edge in memory, from its first byte to its end."""

import asyncio
from collections.abc import MutableMapping
from typing import Any, Final

import structlog
import uvicorn
from structlog.testing import LogCapture
from uvicorn.server import ServerState

from edge.app.edge_app import EdgeApp
from edge.app.routes import build_routes
from edge.contract.contract import Contract
from edge.http.connection_limits import ConnectionLimits
from edge.http.connections import Connections
from edge.http.draining import Drain
from edge.http.held_bytes import HeldBytes
from edge.http.http1_protocol import http1_protocol_class
from edge.settings import EdgeSettings
from tests.fuzz.contract import Service

PATIENCE_S: Final = 20.0
_TURNS: Final = 200


class _Transport(asyncio.Transport):
    """Takes what is written at once, and throws it away."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self._closing = False

    def write(self, data: Any) -> None:
        """There is no reader."""

    def close(self) -> None:
        self._closing = True

    def abort(self) -> None:
        self._closing = True

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        """All is there already."""

    def resume_reading(self) -> None:
        """All is there already."""

    def is_reading(self) -> bool:
        return True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits to be written."""

    def get_write_buffer_size(self) -> int:
        return 0


class Wire:
    """Connections to one edge, with small limits."""

    def __init__(self, contract: Contract) -> None:
        settings = EdgeSettings.model_validate(
            {"contracts": "-", "upstreams": "*=127.0.0.1:1", "port": 0, "body_bytes_max": 10_000, "body_timeout_s": 5}
        )
        app = EdgeApp(contract, build_routes(contract, settings, lambda _: Service(), None), settings, [])
        limits = ConnectionLimits(8192, 4096, settings.head_timeout_s, settings.stall_s)
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._note)
        self._protocol = http1_protocol_class(
            limits, Drain(0, 0, in_mesh=False), HeldBytes(1_000_000, 1_000_000), Connections(100)
        )
        self._config = uvicorn.Config(app, ws="none", interface="asgi3", lifespan="off", log_config=None)
        self._config.load()
        self._failures: list[str] = []

    def statuses(self, data: bytes, cut: int = 0) -> list[int]:
        """Returns the status of each request in these bytes, which arrive in two pieces before the client disconnects.
        Fails on any error except those that clients are sent, and if work continues afterwards.
        """
        capture = LogCapture()
        structlog.configure(processors=[capture])
        self._loop.run_until_complete(self._run(data, cut))
        self._failures += [str(entry) for entry in capture.entries if entry["log_level"] in ("error", "critical")]
        failures, self._failures = self._failures, []
        assert not failures, failures
        return [entry["status"] for entry in capture.entries if entry["event"] == "request"]

    def close(self) -> None:
        """Ends the loop that the connections were served by."""
        self._loop.close()
        structlog.reset_defaults()

    async def _run(self, data: bytes, cut: int) -> None:
        state = ServerState()
        connection = self._protocol(config=self._config, server_state=state, app_state={}, _loop=self._loop)
        transport = _Transport()
        connection.connection_made(transport)
        for piece in (data[:cut], data[cut:]):
            if piece and not transport.is_closing():
                connection.data_received(piece)
                await self._settle(state)
        connection.connection_lost(None)
        running = [*state.tasks]
        if running:
            _, late = await asyncio.wait(running, timeout=PATIENCE_S)
            assert not late, "a request goes on that nobody waits for"

    async def _settle(self, state: ServerState) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
            if not state.tasks:
                return

    def _note(self, _: asyncio.AbstractEventLoop, context: MutableMapping[str, Any]) -> None:
        self._failures.append(f"{context['message']}: {context.get('exception')!r}")
