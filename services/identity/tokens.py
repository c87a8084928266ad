"""Tokens of two kinds: access tokens, which anybody can verify, and refresh tokens, which are checked here only."""

import base64
import binascii
import hashlib
import secrets
import time
from collections.abc import Set
from dataclasses import dataclass
from typing import Self
from uuid import UUID, uuid4

from joserfc import jwt

from mesh.identity import ALGORITHM
from services.identity.keys import SigningKeys

_FAMILY_BYTES = 16
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed token and what its receiver wants to know of it."""

    text: str
    expires_in_s: int
    scopes: frozenset[str]


class AccessTokens:
    """Issues access tokens: JWTs after RFC 9068."""

    def __init__(self, keys: SigningKeys, issuer: str, audience: str, lifetime_s: int) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._lifetime_s = lifetime_s

    def issue(self, subject: str, client_id: str, scopes: Set[str]) -> AccessToken:
        """A token for "users/…" or "workloads/…", signed with the key of this moment."""
        key, now = self._keys.current, int(time.time())
        header = {"typ": "at+jwt", "alg": ALGORITHM, "kid": key.kid}
        claims = {
            "iss": self._issuer,
            "sub": subject,
            "aud": self._audience,
            "exp": now + self._lifetime_s,
            "iat": now,
            "jti": secrets.token_urlsafe(16),
            "client_id": client_id,
            "scope": " ".join(sorted(scopes)),
        }
        return AccessToken(jwt.encode(header, claims, key), self._lifetime_s, frozenset(scopes))


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """An opaque token: the identifier of its family, which says whom to ask, and a secret, which proves it.

    Only the hash of the secret is stored. It has 256 random bits, so a plain SHA-256 does: there is nothing to guess.
    """

    family: UUID
    secret: bytes

    @classmethod
    def new(cls, family: UUID | None = None) -> Self:
        """The next token of a family, or the first of a new one."""
        return cls(family or uuid4(), secrets.token_bytes(_SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The token of this text, None if it was never one of ours."""
        try:
            octets = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except binascii.Error:
            return None
        if len(octets) != _FAMILY_BYTES + _SECRET_BYTES:
            return None
        return cls(UUID(bytes=octets[:_FAMILY_BYTES]), octets[_FAMILY_BYTES:])

    @property
    def text(self) -> str:
        """The token as its holder gets it."""
        return base64.urlsafe_b64encode(self.family.bytes + self.secret).decode()

    @property
    def hash(self) -> bytes:
        """What is stored."""
        return hashlib.sha256(self.secret).digest()
