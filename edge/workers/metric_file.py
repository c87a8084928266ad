"""The files in which workers keep their metrics, which survive a full disk."""

import errno
import math
import os
import time
from pathlib import Path
from typing import Any, Final

import structlog
from prometheus_client.mmap_dict import MmapedDict

log = structlog.get_logger()

SIZE_FIRST: Final = 1 << 16
PAUSE_S: Final = 1.0


class MetricFile(MmapedDict):
    """A file of Prometheus' library whose room is allocated before it is used: to touch a page of a mapped file for
    which the disk has no room ends the process with SIGBUS (mmap(2)).

    Values for which there is no room are missing in the sums. No metric is worth the process that counts it.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        """Opens the file. If there is no room for it, or its folder was removed, the values stay in memory."""
        self._lacks_room = False
        self._full_until_s = -math.inf
        try:
            _create(Path(filename))
        except OSError as error:
            self._report(error)
            with os.fdopen(os.memfd_create("metrics")) as memory:
                super().__init__(f"/proc/self/fd/{memory.fileno()}")  # type: ignore[no-untyped-call]
        else:
            super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def read_value(self, key: str) -> tuple[float, float]:
        """Returns the value and its timestamp, 0 if the value is new."""
        try:
            value: tuple[float, float] = super().read_value(key)  # type: ignore[no-untyped-call]
        except OSError as error:
            self._report(error)
            return 0.0, 0.0
        return value

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        """Writes a value, unless there is no room for it."""
        try:
            super().write_value(key, value, timestamp)  # type: ignore[no-untyped-call]
        except OSError as error:
            self._report(error)

    def _init_value(self, key: str) -> None:
        # The library doubles the file for a value that it has no room for, which takes 40 bytes beside its key.
        if self._used + len(key.encode()) + 40 > self._capacity:
            self._allocate(2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def _allocate(self, size: int) -> None:
        """Allocates room on the disk. Raises OSError if there is none, and for a second afterwards without a try: all
        metrics of the process wait for this one, and each call would try several times.
        """
        file: Any = self._f
        if time.monotonic() < self._full_until_s:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            self._full_until_s = time.monotonic() + PAUSE_S
            raise

    def _report(self, error: OSError) -> None:
        if not self._lacks_room:
            self._lacks_room = True
            log.warning("could not store a metric, which is missing in the sums of the workers", error=str(error))


def _create(path: Path) -> None:
    """Creates a file with room for the first values, unless a predecessor has. Nobody can read one without this room.
    Raises OSError.
    """
    if path.exists():
        return
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, SIZE_FIRST)
    new.replace(path)
