"""The command that runs a service of the twin: python -m benchmarks.peers.store catalog."""

import importlib
import logging
import sys

import uvicorn

from benchmarks.peers.store.settings import Settings


def main(name: str) -> None:
    """Serves until it is stopped."""
    settings = Settings()
    logging.basicConfig(level=settings.log_level.upper())
    service = importlib.import_module(f"benchmarks.peers.store.{name}").service
    uvicorn.run(
        service.app(settings), port=settings.port, loop="uvloop", http="httptools", log_level=settings.log_level
    )


if __name__ == "__main__":
    main(sys.argv[1])
