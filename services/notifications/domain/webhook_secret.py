"""The secrets that sign webhooks (https://www.standardwebhooks.com)."""

import base64
import hashlib
import hmac
from datetime import timedelta
from typing import Final
from uuid import UUID

PREFIX: Final = "whsec_"
OVERLAP: Final = timedelta(hours=24)
"""The time after a rotation in which messages are signed with the previous secret too."""


class WebhookSecrets:
    """The secrets of all endpoints, derived from one key, so that none is stored."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def derive(self, endpoint: UUID, version: int) -> bytes:
        """Returns a version of the secret of an endpoint: 32 bytes."""
        return hmac.digest(self._key, f"webhook:{endpoint}:{version}".encode(), hashlib.sha256)


def encoded(secret: bytes) -> str:
    """Returns a secret in the form in which receivers configure it."""
    return PREFIX + base64.b64encode(secret).decode()
