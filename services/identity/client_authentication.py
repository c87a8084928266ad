"""Authentication of clients by the token endpoint (RFC 6749, section 2.3.1)."""

import base64
import hmac
from collections.abc import Mapping
from urllib.parse import unquote_plus

from mesh.errors import InvalidArgument, Unauthenticated

_NO_SECRET = ""


class Clients:
    """The workloads that may obtain tokens of their own, with their secrets."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = dict(secrets)

    def authenticate(self, authorization: str, client_id: str, client_secret: str) -> str:
        """Authenticates a client by HTTP Basic authentication or by the body, not by both, and returns its identifier.

        Raises Unauthenticated (INVALID_CLIENT) and InvalidArgument (INVALID_REQUEST).
        """
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() == "basic":
            basic_id, basic_secret = _decode_basic(credentials.strip())
            if client_secret or client_id not in ("", basic_id):
                raise InvalidArgument(
                    "Send the client's credentials either in the Authorization header or in the body, not in both.",
                    reason="INVALID_REQUEST",
                )
            client_id, client_secret = basic_id, basic_secret
        self._check(client_id, client_secret)
        return client_id

    def _check(self, client_id: str, client_secret: str) -> None:
        """Raises Unauthenticated if the secret is wrong; takes as long for an unknown client."""
        known = self._secrets.get(client_id, _NO_SECRET)
        right = hmac.compare_digest(known.encode(), client_secret.encode())
        if not right or known == _NO_SECRET:
            raise invalid_client()


def _decode_basic(credentials: str) -> tuple[str, str]:
    """Returns the identifier and the secret, which are form-encoded, then joined and encoded as base64."""
    try:
        client_id, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:  # not base64, or not UTF-8
        raise invalid_client() from None
    return unquote_plus(client_id), unquote_plus(secret)


def invalid_client() -> Unauthenticated:
    """Returns the error of an unknown client or a wrong secret. It does not reveal which."""
    return Unauthenticated("The client is unknown or its secret is wrong.", reason="INVALID_CLIENT")
