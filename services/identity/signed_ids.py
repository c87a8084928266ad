"""Secrets that are not stored: the identifier of a row, and a code that authenticates it."""

import base64
import binascii
import hmac
from uuid import UUID

from services.identity.cipher import Cipher

_ID_BYTES = _TAG_BYTES = 16


class SignedIds:
    """The secrets of one kind. The same id gives the same secret. They can't be derived from the database alone."""

    def __init__(self, cipher: Cipher, kind: str) -> None:
        """`kind` is a purpose of Cipher.tag(), so that a secret of one kind is none of another."""
        self._cipher = cipher
        self._kind = kind

    def text(self, id_: UUID) -> str:
        """Returns the secret of an identifier: 43 characters that need no escape in a URL."""
        return base64.urlsafe_b64encode(id_.bytes + self._tag(id_.bytes)).decode().rstrip("=")

    def read(self, text: str) -> UUID | None:
        """Returns the identifier in a secret, None if it is not genuine."""
        try:
            octets = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except binascii.Error:
            return None
        octets, tag = octets[:_ID_BYTES], octets[_ID_BYTES:]
        is_genuine = len(octets) == _ID_BYTES and hmac.compare_digest(tag, self._tag(octets))
        return UUID(bytes=octets) if is_genuine else None

    def _tag(self, octets: bytes) -> bytes:
        return self._cipher.tag(self._kind, octets)[:_TAG_BYTES]
