"""The signature of webhooks by Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 over id, timestamp and
body, once for each secret.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
SIGNATURE_HEADERS: Final = (ID, TIMESTAMP, SIGNATURE)

TOLERANCE: Final = timedelta(minutes=5)
"""The greatest difference between the clocks of sender and receiver, and the time in which a copy can be replayed."""

ID_LENGTH_MAX: Final = 256

_VERSION: Final = "v1"


class SignatureInvalid(Exception):
    """A webhook that its sender did not sign, or not within the last minutes. The message is for the sender."""


def signed_headers(message_id: str, now: datetime, body: bytes, secrets: Iterable[bytes]) -> Mapping[str, str]:
    """Returns the headers that prove who sent the body, and when. A receiver accepts any one of the signatures."""
    timestamp = str(int(now.timestamp()))
    signatures = (base64.b64encode(_sign(secret, message_id, timestamp, body)).decode() for secret in secrets)
    return {
        ID: message_id,
        TIMESTAMP: timestamp,
        SIGNATURE: " ".join(f"{_VERSION},{signature}" for signature in signatures),
    }


def verify(headers: Mapping[str, str], now: datetime, body: bytes, secrets: Iterable[bytes]) -> str:
    """Returns the id of a webhook that was signed with one of these secrets. `headers` has names in lower case. Raises
    SignatureInvalid.
    """
    missing = [name for name in SIGNATURE_HEADERS if not headers.get(name)]
    if missing:
        raise SignatureInvalid(f"The header {missing[0]} is missing.")
    if len(headers[ID]) > ID_LENGTH_MAX:
        raise SignatureInvalid(f"The header {ID} has more than {ID_LENGTH_MAX} characters.")
    timestamp = headers[TIMESTAMP]
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise SignatureInvalid(f"The header {TIMESTAMP} is not a number of seconds.")
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE.total_seconds():
        raise SignatureInvalid(f"The header {TIMESTAMP} is more than {TOLERANCE.seconds // 60} minutes off.")
    expected = [_sign(secret, headers[ID], timestamp, body) for secret in secrets]
    for given in _signatures(headers[SIGNATURE]):
        if any(hmac.compare_digest(given, each) for each in expected):
            return headers[ID]
    raise SignatureInvalid(f"The header {SIGNATURE} holds no signature of this body by a known secret.")


def _sign(secret: bytes, message_id: str, timestamp: str, body: bytes) -> bytes:
    return hmac.digest(secret, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)


def _signatures(header: str) -> Iterable[bytes]:
    for each in header.split(" "):
        version, _, signature = each.partition(",")
        if version == _VERSION:
            try:
                yield base64.b64decode(signature, validate=True)
            except (binascii.Error, ValueError):
                continue
