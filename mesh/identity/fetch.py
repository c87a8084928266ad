"""The HTTP client for JSON from the issuer of tokens. It uses the standard library, because a client library would
cost each process 2 MB for a request every few minutes.
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
    """A request without a usable response. The message is for the log; `status` is the HTTP status of a response that
    is not 200, otherwise 0.
    """

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


async def fetch_json(
    url: str, *, timeout_s: float, form: Mapping[str, str] | None = None, authorization: str = ""
) -> Any:
    """Fetches JSON from a URL, by POST if there is a form, else by GET. Does not follow redirects, which could send the
    credentials elsewhere. Raises FetchError.
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
    """Runs `work` in a thread of its own and returns its result. A process that exits does not wait for this thread, as
    it would with asyncio.to_thread().
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bytes] = loop.create_future()

    def settle(result: bytes, error: BaseException | None) -> None:
        if future.done():  # cancelled by the timeout
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
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nothing awaits the future
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="fetch", daemon=True).start()
    return await future


def _fetch(request: Request, timeout_s: float) -> bytes:
    ends_at = time.monotonic() + timeout_s
    opener = OpenerDirector()
    # Loading the certificate authorities takes 10 MB, which plain HTTP inside a mesh does not need.
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
            if time.monotonic() > ends_at:  # the socket's own timeout restarts with every byte
                raise TimeoutError("the answer is too slow")
    return bytes(body)
