"""JSON from the issuer of tokens, over HTTP. The standard library does: a client library costs each process 2 MB for a
call in some minutes.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

ANSWER_BYTES_MAX: Final = 1024 * 1024


class FetchError(Exception):
    """There was no proper answer. The text is for the log; `status` is the HTTP status if that was not 200, else 0."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


async def fetch_json(
    url: str, *, timeout_s: float, form: Mapping[str, str] | None = None, authorization: str = ""
) -> Any:
    """The JSON at a URL; with a form it is asked by POST. Redirects are not followed: they could lead the credentials
    elsewhere. Raises FetchError.
    """
    request = Request(url, urlencode(form).encode() if form is not None else None, {"Accept": "application/json"})
    if authorization:
        request.add_header("Authorization", authorization)
    try:
        async with asyncio.timeout(timeout_s):
            return json.loads(await _in_thread(lambda: _fetch(request, timeout_s)))
    except (OSError, HTTPException, ValueError, RecursionError) as error:  # a TimeoutError is an OSError
        raise FetchError(str(error) or type(error).__name__) from error


async def _in_thread(work: Callable[[], bytes]) -> bytes:
    """Returns what `work` does, from a thread of its own. A process that ends does not wait for that thread, as it
    would for one of asyncio.to_thread().
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bytes] = loop.create_future()

    def settle(result: bytes, error: BaseException | None) -> None:
        if future.done():  # cancelled: the time was over
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result, error = b"", None
        try:
            result = work()
        except BaseException as raised:  # noqa: BLE001 # handed to whoever awaits the future
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody awaits anything
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="fetch", daemon=True).start()
    return await future


def _fetch(request: Request, timeout_s: float) -> bytes:
    ends_at = time.monotonic() + timeout_s
    opener = OpenerDirector()
    # Loading the certificate authorities takes 10 MB, which inside a mesh, over plain HTTP, are for nothing.
    secure = [HTTPSHandler()] if request.type == "https" else []
    for handler in (ProxyHandler(), HTTPHandler(), *secure):
        opener.add_handler(handler)
    with opener.open(request, timeout=timeout_s) as answer:
        if answer.status != HTTPStatus.OK:
            raise FetchError(f"the answer has status {answer.status}", answer.status)
        body = bytearray()
        while part := answer.read1():
            body += part
            if len(body) > ANSWER_BYTES_MAX:
                raise ValueError(f"the answer is larger than {ANSWER_BYTES_MAX} bytes")
            if time.monotonic() > ends_at:  # the socket's own timeout begins anew with every byte
                raise TimeoutError("the answer is too slow")
    return bytes(body)
