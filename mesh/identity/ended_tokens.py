"""Tokens that ended before they expired, and the entries for them in the issuer's list.

The issuer keeps a short list, and each process a copy of it (docs/decisions/0020-ended-tokens.md).
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

CLAIMS: Final = ("jti", "sid", "sub")
"""The claims by which an entry names tokens: one token, the tokens of one sign-in, or those of one user."""


def ended_id(claim: str, value: str) -> str:
    """Returns the entry for the tokens whose claim has this value. It is a hash, because the list is public and must
    reveal nothing about tokens.
    """
    digest = hashlib.sha256(f"{claim}:{value}".encode()).digest()[:16]
    return urlsafe_b64encode(digest).decode().rstrip("=")


def ended_ids(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the entries, any of which would end the token with these claims."""
    return tuple(ended_id(name, claims[name]) for name in CLAIMS if isinstance(claims.get(name), str))


class EndedTokens(Protocol):
    """The list of ended tokens, as a verifier uses it."""

    async def ready(self) -> None:
        """Waits until the list is loaded. Raises Unavailable if that takes too long."""

    def holds(self, ids: Iterable[str]) -> bool:
        """Returns whether the list holds one of these entries."""
