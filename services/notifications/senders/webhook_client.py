"""The HTTP client of webhooks."""

import asyncio
import ssl
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpcore

from services.notifications.domain.webhook_delivery import Attempt
from services.notifications.senders.resolver import Resolver, UnreachableHost

TIMEOUT_S: Final = 15.0
CONNECT_TIMEOUT_S: Final = 5.0
ADDRESSES_MAX: Final = 3
RESPONSE_BYTES_MAX: Final = 16 * 1024
RESPONSE_BODY_TIMEOUT_S: Final = 1.0
HEADERS: Final = {
    "content-type": "application/json",
    "user-agent": "Meshwright-Webhooks/1",
    "accept-encoding": "identity",
}


class WebhookClient:
    """The client, which sends one request for each attempt, by a connection of its own.

    Every connection goes to an address that the resolver has checked. Redirects are not followed, and proxies of the
    environment are not used, because either would lead elsewhere.
    """

    def __init__(self, resolver: Resolver, *, http_allowed: bool, timeout_s: float = TIMEOUT_S) -> None:
        self._resolver = resolver
        self._http_allowed = http_allowed
        self._timeout_s = timeout_s

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Returns the context of TLS, made for the first request: the certificate authorities take several MB."""
        return ssl.create_default_context()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, owner: str) -> Attempt:
        """Sends a body of JSON to the URL of an owner, and returns what became of it."""
        began, now = time.monotonic(), datetime.now(UTC)
        status, error, retry_after_s = None, "", 0.0
        try:
            response = await self._send(url, body, headers, owner)
            status, retry_after_s = response.status, _retry_after_s(response)
        except UnreachableHost as failure:
            error = str(failure)
        except (TimeoutError, httpcore.TimeoutException):
            error = f"no response within {self._timeout_s:.0f} s"
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError) as failure:
            error = _problem(failure)
        return Attempt(now, timedelta(seconds=time.monotonic() - began), status, error, retry_after_s)

    async def _send(self, url: str, body: bytes, headers: Mapping[str, str], owner: str) -> httpcore.Response:
        parts = urlsplit(url)
        if parts.scheme != "https" and not self._http_allowed:  # it was allowed when the endpoint was created
            raise UnreachableHost("the URL does not begin with https://")
        parsed = _parsed(parts)
        connection = httpcore.AsyncHTTPConnection(
            parsed.origin, ssl_context=self._tls, network_backend=CheckedNetwork(self._resolver, owner)
        )
        request = connection.stream(
            "POST",
            parsed,
            headers=[("host", parts.netloc), *HEADERS.items(), *headers.items()],
            content=body,
            extensions={"timeout": {"connect": CONNECT_TIMEOUT_S}},
        )
        async with asyncio.timeout(self._timeout_s) as until_status, connection, request as response:
            until_status.reschedule(None)
            await _drain(response)
        return response


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """The network as far as the resolver allows, for the endpoints of an owner. A name is looked up once for each
    connection, which goes to an address that this look-up has found; TLS is for the name.
    """

    def __init__(self, resolver: Resolver, owner: str) -> None:
        self._resolver = resolver
        self._owner = owner
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connects to the first of the host's addresses that accepts. Raises UnreachableHost if there is none."""
        addresses = (await self._resolver.resolve(host, self._owner))[:ADDRESSES_MAX]
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._network.connect_tcp(str(addresses[-1]), port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await self._network.sleep(seconds)


def _parsed(parts: SplitResult) -> httpcore.URL:
    """Returns a URL for httpcore, which by itself leaves out what follows a semicolon in the last part of a path."""
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return httpcore.URL(scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target=target)


async def _drain(response: httpcore.Response) -> None:
    """Reads a small body, so that the receiver sees no broken connection, and ignores a large or slow one. The status
    counts, whatever comes after it.
    """
    size = 0
    try:
        async with asyncio.timeout(RESPONSE_BODY_TIMEOUT_S):
            async for part in response.aiter_stream():
                size += len(part)
                if size > RESPONSE_BYTES_MAX:
                    return
    except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError):
        return


def _problem(error: Exception) -> str:
    """Returns the problem, for the owner of the endpoint. The messages of the library contain our own addresses. It
    passes on errors of TLS after the handshake as they are.
    """
    match error if isinstance(error, ssl.SSLError) else error.__cause__ or error.__context__:
        case ssl.SSLCertVerificationError(verify_message=why):
            return f"the certificate is not valid: {why}"
        case ssl.SSLError():
            return "TLS failed"
    match error:
        case httpcore.ConnectError():
            return "the connection was refused or failed"
        case httpcore.RemoteProtocolError():
            return "the response is not valid HTTP"
        case _:
            return "the connection broke"


def _retry_after_s(response: httpcore.Response) -> float:
    """Returns the seconds in Retry-After (RFC 9110, section 10.2.3); 0 if there are none, or it is a date."""
    text = next((value for name, value in response.headers if name.lower() == b"retry-after"), b"")
    return float(text) if text.isdigit() and len(text) < 10 else 0.0
