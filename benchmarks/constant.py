"""An ASGI application that answers with constant bytes, on uvicorn: `python -m benchmarks.constant FILE PORT`.

It is the floor of what an HTTP server in Python costs. The file is a JSON object of bodies by method and path. All
others are answered with 404.
"""

import json
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import uvicorn


class Constant:
    """The application."""

    def __init__(self, bodies: Mapping[str, str]) -> None:
        self._answers = {called: _answer(HTTPStatus.OK, body.encode()) for called, body in bodies.items()}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Reads the body of a request, and answers it."""
        while (await receive()).get("more_body"):
            pass
        for message in self._answers.get(f"{scope['method']} {scope['path']}", _NOT_FOUND):
            await send(message)


def _answer(status: HTTPStatus, body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    start = {"type": "http.response.start", "status": status, "headers": headers}
    return start, {"type": "http.response.body", "body": body}


_NOT_FOUND: Final = _answer(HTTPStatus.NOT_FOUND, b'{"error": {"code": 404, "status": "NOT_FOUND"}}')


def main(file: str, port: str) -> None:
    """Serves until it is killed."""
    application = Constant(json.loads(Path(file).read_text()))
    quiet: dict[str, Any] = {"access_log": False, "log_level": "error", "lifespan": "off"}
    uvicorn.run(application, port=int(port), loop="uvloop", http="httptools", **quiet)


if __name__ == "__main__":
    main(*sys.argv[1:])
