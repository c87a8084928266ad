"""Positions in an ordered list or stream, as opaque tokens that clients keep and bring back.

A token carries the key of the last row that the client has, and is bound to the query that made it. It is not signed:
whoever forges one moves within what may be read anyway.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias
from uuid import UUID

Key: TypeAlias = str | int | datetime | UUID

TOKEN_LENGTH_MAX: Final = 2048
_INT64_MAX: Final = 2**63 - 1  # the range of a bigint


def fingerprint(query: Sequence[str]) -> str:
    """Returns what identifies a query: all that decides which rows it gives, and in which order."""
    return hashlib.sha256(json.dumps(list(query)).encode()).hexdigest()[:16]


def encode(query: str, key: Sequence[Key]) -> str:
    """Returns the token of a position in a query, which is given by its fingerprint."""
    parts = [
        part.isoformat() if isinstance(part, datetime) else str(part) if isinstance(part, UUID) else part
        for part in key
    ]
    return base64.urlsafe_b64encode(json.dumps([query, *parts]).encode()).decode().rstrip("=")


def decode(query: str, token: str, key_types: Sequence[type[Key]]) -> tuple[Key, ...]:
    """Returns the position in a token, a key of these types. Raises ValueError with what the caller should know."""
    foreign = ValueError("is not a token that this method gave; leave it out to begin anew")
    if len(token) > TOKEN_LENGTH_MAX:
        raise foreign
    try:
        parts = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        raise foreign from None
    if not isinstance(parts, list) or len(parts) != len(key_types) + 1:
        raise foreign
    if parts[0] != query:
        raise ValueError("belongs to a list with another filter, order or parent; leave it out to begin anew")
    try:
        return tuple(_key(part, key_type) for part, key_type in zip(parts[1:], key_types, strict=True))
    except (ValueError, OverflowError):
        raise foreign from None


def _key(part: object, key_type: type[Key]) -> Key:
    """One part of a key, such that PostgreSQL takes it. Raises ValueError or OverflowError."""
    if key_type is int:
        if type(part) is int and abs(part) <= _INT64_MAX:
            return part
    elif isinstance(part, str) and "\0" not in part:
        part.encode()  # a lone surrogate is a ValueError
        if key_type is str:
            return part
        if key_type is UUID:
            return UUID(part)
        if (time := datetime.fromisoformat(part)).tzinfo is not None:
            return time.astimezone(UTC)
    raise ValueError("a key of another type")
