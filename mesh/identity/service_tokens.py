"""The access tokens with which this process calls other workloads as itself."""

import time
from base64 import b64encode

import structlog

from mesh.errors import MeshError, Unavailable
from mesh.identity.fetch import FetchError, fetch_json
from mesh.identity.refresh import Refresh

log = structlog.get_logger()


class ServiceTokens:
    """The access tokens of this process itself, by the OAuth 2.0 client credentials grant (RFC 6749, section 4.4).

    The next token is fetched in the background some time before the current one expires.
    """

    TIMEOUT_S = 5.0
    PAUSE_S = 1.0
    RENEW_BEFORE_S = 30.0
    SPARE_S = 5.0

    def __init__(self, url: str, client_id: str, client_secret: str) -> None:
        self._url = url
        self._authorization = f"Basic {b64encode(f'{client_id}:{client_secret}'.encode()).decode()}"
        self._token = ""
        self._renew_at = self._good_until = float("-inf")
        self._refresh = Refresh(self._fetch, self.PAUSE_S)

    async def token(self) -> str:
        """Returns a token that stays valid for some seconds. Raises Unavailable if none can be obtained."""
        if time.monotonic() >= self._good_until:
            await self._refresh.wait()
            if time.monotonic() >= self._good_until:
                raise _no_token()
        elif time.monotonic() >= self._renew_at:
            self._refresh.begin()
        return self._token

    async def _fetch(self) -> None:
        try:
            answer = await fetch_json(
                self._url,
                timeout_s=self.TIMEOUT_S,
                form={"grant_type": "client_credentials"},
                authorization=self._authorization,
            )
            token, expires_in_s = str(answer["access_token"]), float(answer["expires_in"])
        except (FetchError, ValueError, OverflowError, KeyError, TypeError) as error:
            log.warning("could not obtain a service token", url=self._url, error=str(error) or type(error).__name__)
            return
        now = time.monotonic()
        self._token = token
        self._renew_at = now + max(expires_in_s / 2, expires_in_s - self.RENEW_BEFORE_S)
        self._good_until = now + max(expires_in_s * 0.9, expires_in_s - self.SPARE_S)


def _no_token() -> MeshError:
    return Unavailable(
        "This service could not obtain an access token. Try again.",
        reason="SERVICE_TOKEN_UNAVAILABLE",
        retry_after_s=1,
    )
