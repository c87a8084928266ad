"""The folder that workers share: it holds their metrics, so that each of them can serve the sums of all."""

import fcntl
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from prometheus_client import values

from edge.workers.metric_file import MetricFile
from mesh.errors import MeshError

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Yields a folder that exists for the duration of the context. Raises MeshError if it can't be created."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="edge-")
    except OSError as error:
        text = f"Several workers need a temporary folder for their metrics: {error}. Name a writable one in TMPDIR."
        raise MeshError(text) from error
    with folder as name:
        os.environ[VARIABLE] = name
        # systemd removes what is old from folders such as /tmp, but not below a folder with a lock: tmpfiles.d(5)
        lock = os.open(name, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_SH)
        try:
            yield Path(name)
        finally:
            os.close(lock)


def keep_metrics_of(worker: int) -> None:
    """Keeps the metrics of this process in the folder, under the number of the worker. The successor of a worker
    continues its counters.
    """
    if sys.platform == "linux":
        values.MmapedDict = MetricFile  # type: ignore[attr-defined] # the library offers no other way to replace it
    values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]
