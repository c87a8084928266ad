"""Access tokens, which anybody can verify, and refresh tokens, which only this service can."""

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from uuid import UUID, uuid4

from joserfc import jws, jwt

from mesh.identity import ALGORITHM, TOKEN_BYTES_MAX
from mesh.identity.signed_tokens import MALFORMED
from services.identity.cipher import REFRESH_TOKENS, Cipher
from services.identity.keys import SigningKeys

_FAMILY_BYTES = _NONCE_BYTES = _TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed token, with its lifetime and scopes."""

    text: str
    expires_in_s: int
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Issuance:
    """The identity of an access token that was issued: its subject, identifier and expiry."""

    subject: str
    token_id: str
    expire_time: datetime


class AccessTokens:
    """The issuer of access tokens: JWTs by RFC 9068."""

    def __init__(self, keys: SigningKeys, issuer: str, audience: str, lifetime_s: int) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._lifetime_s = lifetime_s

    def issue(self, subject: str, client_id: str, scopes: Set[str], session: UUID | None = None) -> AccessToken:
        """Issues a token to "users/…" or "workloads/…", signed with the current key. `session` is the family of refresh
        tokens that it belongs to: the token ends with it.
        """
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
        if session is not None:
            claims["sid"] = str(session)
        return AccessToken(jwt.encode(header, claims, key), self._lifetime_s, frozenset(scopes))

    async def read(self, text: str) -> Issuance | None:
        """Returns the identity of a token of this issuer that has not expired; None for any other text."""
        if len(text) > TOKEN_BYTES_MAX:
            return None
        try:
            kid = jws.extract_compact(text.encode()).headers().get("kid")
            key = await self._keys.find(kid) if isinstance(kid, str) else None
            if key is None:
                return None
            claims = jwt.decode(text, key, algorithms=[ALGORITHM]).claims
            if claims["iss"] != self._issuer or claims["exp"] <= time.time():
                return None
            return Issuance(str(claims["sub"]), str(claims["jti"]), datetime.fromtimestamp(claims["exp"], UTC))
        except (*MALFORMED, KeyError):
            return None


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """An opaque token: the identifier of its family, and a secret.

    Only the hash of a family's newest secret is stored. A part of the secret authenticates the rest, which
    distinguishes a token that was used before from one that was forged with the identifier of the family.
    """

    family: UUID
    secret: bytes

    @classmethod
    def new(cls, cipher: Cipher, family: UUID | None = None) -> Self:
        """Returns the next token of a family, or the first of a new one."""
        family = family or uuid4()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return cls(family, nonce + _tag(cipher, family, nonce))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parses a token; returns None if the text can't be a token of this issuer."""
        try:
            octets = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except binascii.Error:
            return None
        if len(octets) != _FAMILY_BYTES + _NONCE_BYTES + _TAG_BYTES:
            return None
        return cls(UUID(bytes=octets[:_FAMILY_BYTES]), octets[_FAMILY_BYTES:])

    def is_genuine(self, cipher: Cipher) -> bool:
        """Returns whether this issuer issued the token, the newest or an earlier one."""
        nonce, tag = self.secret[:_NONCE_BYTES], self.secret[_NONCE_BYTES:]
        return hmac.compare_digest(tag, _tag(cipher, self.family, nonce))

    @property
    def text(self) -> str:
        """Returns the token as text, as its holder receives it."""
        return base64.urlsafe_b64encode(self.family.bytes + self.secret).decode()

    @property
    def hash(self) -> bytes:
        """Returns the hash to store. A plain SHA-256 is enough, because the secret has 128 random bits."""
        return hashlib.sha256(self.secret).digest()


def _tag(cipher: Cipher, family: UUID, nonce: bytes) -> bytes:
    return cipher.tag(REFRESH_TOKENS, family.bytes + nonce)[:_TAG_BYTES]
