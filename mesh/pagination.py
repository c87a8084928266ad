"""Pages of a list (AIP-158): opaque tokens that say after which row the next page begins.

A token carries the sort key of the last row given (keyset pagination), so that pages neither skip nor repeat rows when
others come or go, and a late page costs no more than the first. It is bound to the query that made it. It is not
signed: whoever forges one moves within a list that may be read anyway.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias, TypeVar
from uuid import UUID

from mesh.errors import FieldViolation, InvalidArgument

Key: TypeAlias = str | int | datetime | UUID
Row = TypeVar("Row")

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 1000
TOKEN_LENGTH_MAX = 2048
_INT64_MAX = 2**63 - 1  # the range of a bigint


@dataclass(frozen=True, slots=True)
class Page:
    """What to read: at most `limit` rows, those that sort after the key `after` (all, if None)."""

    size: int
    after: tuple[Key, ...] | None
    _query: str

    @property
    def limit(self) -> int:
        """How many rows to read: one more than are given, which tells whether there is a next page."""
        return self.size + 1

    def split(self, rows: Sequence[Row], key: Callable[[Row], Sequence[Key]]) -> tuple[Sequence[Row], str]:
        """The rows to give, of the at most `limit` that were read, and the next page's token ("" at the end)."""
        if len(rows) <= self.size:
            return rows, ""
        given = rows[: self.size]
        return given, self.token(key(given[-1]))

    def token(self, key: Sequence[Key]) -> str:
        """The token of the page that begins after the row with this key."""
        return _encode(self._query, key)


def read_page(
    page_size: int,
    page_token: str,
    *,
    query: Sequence[str],
    key_types: Sequence[type[Key]],
    size_max: int = PAGE_SIZE_MAX,
) -> Page:
    """The page that a request asks for.

    `query` is all that decides which rows are listed in which order (parent, filter, order_by, …), `key_types` the
    types of the sort key's parts. A `page_size` of 0 means 50, more than `size_max` means that. Raises
    InvalidArgument with a violation of page_size (negative) and of page_token (not one of ours, or of another query).
    """
    violations = []
    if page_size < 0:
        violations.append(FieldViolation("page_size", "must not be negative", "PAGE_SIZE_NEGATIVE"))
    fingerprint = _fingerprint(query)
    after = None
    if page_token:
        try:
            after = _decode(fingerprint, page_token, key_types)
        except ValueError as error:
            violations.append(FieldViolation("page_token", str(error), "PAGE_TOKEN_INVALID"))
    if violations:
        first = violations[0]
        raise InvalidArgument(f"{first.field} {first.description}.", reason=first.reason, violations=violations)
    return Page(min(page_size or PAGE_SIZE_DEFAULT, size_max), after, fingerprint)


def _fingerprint(query: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(query)).encode()).hexdigest()[:16]


def _encode(fingerprint: str, key: Sequence[Key]) -> str:
    parts = [
        part.isoformat() if isinstance(part, datetime) else str(part) if isinstance(part, UUID) else part
        for part in key
    ]
    return base64.urlsafe_b64encode(json.dumps([fingerprint, *parts]).encode()).decode().rstrip("=")


def _decode(fingerprint: str, token: str, key_types: Sequence[type[Key]]) -> tuple[Key, ...]:
    """The key in a token. Raises ValueError with what the caller should know."""
    foreign = ValueError("is not a token that this method gave; leave it out to begin anew")
    if len(token) > TOKEN_LENGTH_MAX:
        raise foreign
    try:
        parts = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        raise foreign from None
    if not isinstance(parts, list) or len(parts) != len(key_types) + 1:
        raise foreign
    if parts[0] != fingerprint:
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
