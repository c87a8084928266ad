"""A server in a process of its own. `python -m tests.mesh.http2.server.holding_server` prints its
port.

It pings a quiet client after PAUSE_S, and waits ANSWER_S for the answer.
"""

import asyncio
from typing import Final

import uvloop

from mesh.http2 import keepalive
from mesh.http2.server import connection
from tests.mesh.http2.server.scripted import serving

PAUSE_S: Final = 0.2
ANSWER_S: Final = 2.0


async def main() -> None:
    """Serves until the process is killed."""
    async with serving() as served:
        print(served.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    connection.KEEPALIVE_S, keepalive.ANSWER_S_MAX = PAUSE_S, ANSWER_S  # type: ignore[misc]
    uvloop.run(main())
