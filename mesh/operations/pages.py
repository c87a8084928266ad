"""The pages of the operations port: /livez, /readyz and /metrics."""

import json
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

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
            return Page(200, CONTENT_TYPE_LATEST, generate_latest())
    return None
