"""The command that runs a service of the twin: python -m benchmarks.peers.store catalog."""

import importlib
import logging
import sys

import uvicorn

from benchmarks.peers.store.settings import Settings

KEEP_ALIVE_S = 30  # longer than httpx keeps a connection, which would else use one that is just being closed


def main(name: str) -> None:
    """Serves until it is stopped."""
    settings = Settings()
    logging.basicConfig(level=settings.log_level.upper())
    service = importlib.import_module(f"benchmarks.peers.store.{name}").service
    uvicorn.run(
        service.app(settings),
        port=settings.port,
        loop="uvloop",
        http="httptools",
        log_level=settings.log_level,
        timeout_keep_alive=KEEP_ALIVE_S,
    )


if __name__ == "__main__":
    main(sys.argv[1])
