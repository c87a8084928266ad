"""Access tokens of an OAuth 2.0 token endpoint (RFC 6749), obtained when needed and replaced before they expire."""

import asyncio
import base64
import contextlib
import http.client
import json
import math
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final, Self
from urllib.parse import quote_plus, urlencode

TIMEOUT_S: Final = 10.0
MARGIN_S_MAX: Final = 30.0
"""How long before it expires a token is replaced, a quarter of its lifetime at most."""
LIFETIME_S: Final = 300.0
"""The lifetime of a token whose response says none: `expires_in` is only recommended (RFC 6749, section 5.1)."""


class TokenRefused(Exception):
    """A refusal of the token endpoint: an `error` of RFC 6749, section 5.2, and its description."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}" if description else error)
        self.error = error
        self.description = description


class Tokens:
    """The access tokens of one user or workload. Concurrent callers share one request to the token endpoint."""

    def __init__(self, url: str, grant: Mapping[str, str], headers: Mapping[str, str] | None = None) -> None:
        """`url` is the token endpoint, `grant` the form that it takes, and `headers` go with each request."""
        self._url = url
        self._grant = dict(grant)
        self._headers = dict(headers or {})
        self._access_token = ""
        self._refresh_token = ""
        self._replace_at = 0.0
        self._obtaining: asyncio.Task[str] | None = None

    @classmethod
    def by_password(cls, url: str, username: str, password: str, *, scope: str = "") -> Self:
        """Returns the tokens of a user, with all scopes that the user may have if `scope` names none."""
        return cls(url, {"grant_type": "password", "username": username, "password": password} | _scoped(scope))

    @classmethod
    def by_client_credentials(cls, url: str, client_id: str, client_secret: str, *, scope: str = "") -> Self:
        """Returns the tokens of a workload, which authenticates by HTTP Basic (RFC 6749, section 2.3.1)."""
        pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
        headers = {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return cls(url, {"grant_type": "client_credentials"} | _scoped(scope), headers)

    async def access_token(self) -> str:
        """Returns a valid token. Raises TokenRefused, and OSError if no token comes from the endpoint.

        A caller that is cancelled leaves the request to the others, and its token to the next call.
        """
        if self._access_token and time.monotonic() < self._replace_at:
            return self._access_token
        if self._obtaining is None or self._obtaining.done():
            self._obtaining = asyncio.create_task(self._obtain())
        return await asyncio.shield(self._obtaining)

    def forget(self, access_token: str) -> None:
        """Makes the next call obtain a new token, if this one is still in use: a service has rejected it."""
        if access_token == self._access_token:
            self._access_token = ""

    async def _obtain(self) -> str:
        self._keep(await self._next())
        return self._access_token

    async def _next(self) -> dict[str, Any]:
        if refresh_token := self._refresh_token:
            self._refresh_token = ""  # Each serves once.
            with contextlib.suppress(TokenRefused):
                return await self._request({"grant_type": "refresh_token", "refresh_token": refresh_token})
        return await self._request(self._grant)

    async def _request(self, form: Mapping[str, str]) -> dict[str, Any]:
        return await asyncio.to_thread(_post, self._url, form, self._headers)

    def _keep(self, answer: Mapping[str, Any]) -> None:
        access_token, refresh_token = answer.get("access_token"), answer.get("refresh_token")
        if not isinstance(access_token, str) or not access_token:
            raise OSError(f"The response of {self._url} has no access token.")
        lifetime_s = _lifetime_s(answer)
        self._access_token = access_token
        self._refresh_token = refresh_token if isinstance(refresh_token, str) else ""
        self._replace_at = time.monotonic() + lifetime_s - min(MARGIN_S_MAX, lifetime_s / 4)


def _lifetime_s(answer: Mapping[str, Any]) -> float:
    """Returns `expires_in`, which some endpoints send as text."""
    try:
        lifetime_s = float(answer["expires_in"])
    except (KeyError, TypeError, ValueError):
        return LIFETIME_S
    return lifetime_s if math.isfinite(lifetime_s) else LIFETIME_S


def _scoped(scope: str) -> dict[str, str]:
    return {"scope": scope} if scope else {}


def _post(url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, Any]:
    request = urllib.request.Request(url, urlencode(form).encode(), dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return _object(response.read())
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error) from None
    except http.client.HTTPException as error:
        raise OSError(f"The response of {url} is incomplete or not HTTP: {error!r}.") from error


def _refusal(error: urllib.error.HTTPError) -> Exception:
    """Returns what to raise: TokenRefused if the response is an error of OAuth 2.0, otherwise the error itself."""
    try:
        body = _object(error.read())
    except (http.client.HTTPException, OSError):
        return error
    code, description = body.get("error"), body.get("error_description")
    if not isinstance(code, str):
        return error
    return TokenRefused(code, description if isinstance(description, str) else "")


def _object(body: bytes) -> dict[str, Any]:
    """Returns a JSON object, an empty one for anything else."""
    with contextlib.suppress(ValueError):
        if isinstance(value := json.loads(body), dict):
            return value
    return {}
