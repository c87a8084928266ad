"""The reply to input that is not a request, or is beyond a limit of its connection."""

import asyncio
import time

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from edge.http.access_record import AccessRecord
from edge.http.draining import LastHeaders
from edge.http.errors import render
from edge.http.request_id import REQUEST_ID, request_id
from mesh.errors import MeshError


def reject_input(transport: asyncio.Transport, error: MeshError, own_headers: LastHeaders) -> None:
    """Sends an error, closes the connection, and records it as a request of its own. `own_headers` are those that all
    replies of the connection have.
    """
    record = AccessRecord("", request_id({}), time.monotonic(), code=error.code.name)
    record.status, headers, body = render(error)
    headers += [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    headers.append((REQUEST_ID.encode(), record.request_id.encode()))
    lines = [name + b": " + value + b"\r\n" for name, value in own_headers + headers]
    transport.write(b"".join([STATUS_LINE[record.status], *lines, b"\r\n", body]))
    transport.close()
    record.response_bytes = len(body)
    record.write()
