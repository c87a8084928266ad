"""The signature of a webhook by Standard Webhooks: HMAC-SHA256 over id, timestamp and body, once for each secret."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime


def signed_headers(message_id: str, now: datetime, body: bytes, secrets: Iterable[bytes]) -> Mapping[str, str]:
    """Returns the headers that prove who sent the body, and when. A receiver accepts any one of the signatures."""
    timestamp = str(int(now.timestamp()))
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = (hmac.digest(secret, content, hashlib.sha256) for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(signature).decode()}" for signature in signatures),
    }
