"""The heartbeats by which a supervisor knows that the event loops of its workers run."""

import asyncio
import mmap
import os
from typing import Final

from mesh.errors import MeshError

BEAT_S: Final = 1.0


class Heartbeats:
    """The number of heartbeats of each worker, in memory that forked processes share."""

    def __init__(self, workers: int) -> None:
        self._counts = memoryview(mmap.mmap(-1, workers * 8)).cast("Q")

    def count(self, worker: int) -> int:
        """Returns the number of heartbeats of a worker, 0 until it serves."""
        return self._counts[worker]

    def clear(self, worker: int) -> None:
        """Forgets the heartbeats of a worker, before it is replaced."""
        self._counts[worker] = 0

    async def beat(self, worker: int, supervisor: int) -> None:
        """Beats while the worker serves. Raises MeshError once its supervisor has ended."""
        while os.getppid() == supervisor:
            self._counts[worker] += 1
            await asyncio.sleep(BEAT_S)
        raise MeshError("The supervisor of the workers has ended.")
