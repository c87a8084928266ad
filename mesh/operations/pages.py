"""The pages of the operations port: /livez, /readyz and /metrics."""

import json
import os
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from mesh.operations.readiness import Readiness


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the operations port, as an HTTP response."""

    status: int
    media_type: str
    body: bytes


async def page(path: str, readiness: Readiness) -> Page | None:
    """Renders the page at a path; returns None if there is no such page."""
    match path:
        case "/livez":
            return Page(200, "text/plain; charset=utf-8", b"alive\n")
        case "/readyz":
            problems = await readiness.problems()
            answer = json.dumps({"ready": not problems, "checks": problems}).encode()
            return Page(503 if problems else 200, "application/json", answer)
        case "/metrics":
            return Page(200, CONTENT_TYPE_LATEST, generate_latest(_metrics()))
    return None


def _metrics() -> CollectorRegistry:
    """Returns the metrics of this process, or the sums of those that share the folder PROMETHEUS_MULTIPROC_DIR, which
    is the variable of Prometheus' library.
    """
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
