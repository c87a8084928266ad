"""Positions in an ordered list or stream, as opaque tokens that clients store and send back.

A token holds the key of the last row that the client has received, and is bound to its query. It is not signed: a
forged one only selects another position in data that the caller may read anyway.
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
    """Returns the fingerprint of a query, which holds all parameters that determine the rows and their order."""
    return hashlib.sha256(json.dumps(list(query)).encode()).hexdigest()[:16]


def encode(query: str, key: Sequence[Key]) -> str:
    """Returns the token of a position. `query` is the fingerprint of the query."""
    parts = [
        part.isoformat() if isinstance(part, datetime) else str(part) if isinstance(part, UUID) else part
        for part in key
    ]
    return base64.urlsafe_b64encode(json.dumps([query, *parts], ensure_ascii=False).encode()).decode().rstrip("=")


def decode(query: str, token: str, key_types: Sequence[type[Key]]) -> tuple[Key, ...]:
    """Returns the position in a token, a key of these types. Raises ValueError with a message for the caller."""
    foreign = ValueError("is not a token that this method returned; leave it out to start from the beginning")
    if len(token) > TOKEN_LENGTH_MAX:
        raise foreign
    try:
        parts = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        raise foreign from None
    if not isinstance(parts, list) or len(parts) != len(key_types) + 1:
        raise foreign
    if parts[0] != query:
        raise ValueError(
            "belongs to a list with another filter, order or parent; leave it out to start from the beginning"
        )
    try:
        return tuple(_key(part, key_type) for part, key_type in zip(parts[1:], key_types, strict=True))
    except (ValueError, OverflowError):
        raise foreign from None


def _key(part: object, key_type: type[Key]) -> Key:
    """Returns one part of a key, as a value that PostgreSQL accepts. Raises ValueError or OverflowError."""
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
