"""The folder that workers share: it holds their metrics, so that each of them can serve the sums of all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from prometheus_client import values

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
        yield Path(name)


def keep_metrics_of(worker: int) -> None:
    """Keeps the metrics of this process in the folder, under the number of the worker. The successor of a worker
    continues its counters.
    """
    values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]
