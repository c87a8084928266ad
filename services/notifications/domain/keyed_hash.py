"""Hashes of addresses, users and codes that nobody can look up without the key."""

import hashlib
import hmac

from services.notifications.domain.mailbox import mailbox


class KeyedHash:
    """Hashes with a secret key, so that stored data about an erased user identifies nobody."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def of_address(self, address: str, purpose: str = "") -> bytes:
        """Returns the hash of an e-mail address, the same for all spellings of its mailbox, for what is counted for a
        purpose by itself.
        """
        return self._hash(f"{purpose}mailbox:{mailbox(address)}")

    def of_user(self, user: str) -> bytes:
        """Returns the hash of a user ("users/{uid}")."""
        return self._hash(f"user:{user}")

    def of_phone_number(self, number: str) -> bytes:
        """Returns the hash of a phone number."""
        return self._hash(f"phone:{number}")

    def of_code(self, user: str, code: str) -> bytes:
        """Returns the hash of a code that was sent to a user."""
        return self._hash(f"code:{user}:{code}")

    def _hash(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode(), hashlib.sha256)
