"""Tokens that ended before their time, and the entries of the issuer's list that name them.

The issuer keeps a short list, and each process a copy (docs/decisions/0020-ended-tokens.md).
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

CLAIMS: Final = ("jti", "sid", "sub")
"""What an entry of the list can name: one token, the tokens of one sign-in, or those of one user."""


def ended_id(claim: str, value: str) -> str:
    """Returns the entry for the tokens whose claim has this value. A hash: the list is public, and tells nothing to
    those who do not have the token.
    """
    digest = hashlib.sha256(f"{claim}:{value}".encode()).digest()[:16]
    return urlsafe_b64encode(digest).decode().rstrip("=")


def ended_ids(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the entries that would each end the token with these claims."""
    return tuple(ended_id(name, claims[name]) for name in CLAIMS if isinstance(claims.get(name), str))


class EndedTokens(Protocol):
    """What a verifier asks whether a token has ended."""

    async def ready(self) -> None:
        """Returns once there is a list to look into. Raises Unavailable if none can be had."""

    def holds(self, ids: Iterable[str]) -> bool:
        """Returns whether one of these is on the list."""
