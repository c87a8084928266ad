"""The folder that workers share: it holds their metrics, so that each of them can serve the sums of all."""

import fcntl
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import values

from edge.workers.metric_file import MetricFile
from mesh.errors import MeshError

log = structlog.get_logger()

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Yields a folder that exists for the duration of the context. Raises MeshError if it can't be created."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="edge-")
    except OSError as error:
        text = f"Several workers need a temporary folder for their metrics: {error}. Name a writable one in TMPDIR."
        raise MeshError(text) from error
    with folder as name, ExitStack() as held:
        os.environ[VARIABLE] = name
        try:
            held.enter_context(_lock(name))
        except OSError as error:  # not every file system has locks
            log.warning("could not lock the folder of metrics, which systemd may clean up", error=str(error))
        yield Path(name)


@contextmanager
def _lock(folder: str) -> Iterator[None]:
    """Locks a folder: systemd removes what is old from such as /tmp, but not below one with a lock: tmpfiles.d(5)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def keep_metrics_of(worker: int) -> None:
    """Keeps the metrics of this process in the folder, under the number of the worker. The successor of a worker
    continues its counters.
    """
    if sys.platform == "linux":
        values.MmapedDict = MetricFile  # type: ignore[attr-defined] # the library offers no other way to replace it
    values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]
