"""Pages of a list (AIP-158): an opaque token is the position at which the next page begins.

A token holds the sort key of the last row returned (keyset pagination), so that pages neither skip nor repeat rows when
others are added or deleted, and a late page costs no more than the first. It is bound to its query. It is not signed: a
forged one only selects another position in a list that the caller may read anyway.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mesh.errors import FieldViolation, InvalidArgument
from mesh.position import Key, decode, encode, fingerprint

Row = TypeVar("Row")

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """The page to read: at most `limit` rows, those that sort after the key `after` (from the start if None)."""

    size: int
    after: tuple[Key, ...] | None
    _query: str

    @property
    def limit(self) -> int:
        """Returns the number of rows to read: one more than are returned, to find out whether there is a next page."""
        return self.size + 1

    def split(self, rows: Sequence[Row], key: Callable[[Row], Sequence[Key]]) -> tuple[Sequence[Row], str]:
        """Returns the rows of this page, from the at most `limit` that were read, and the next page's token ("" at the
        end).
        """
        if len(rows) <= self.size:
            return rows, ""
        given = rows[: self.size]
        return given, self.token(key(given[-1]))

    def token(self, key: Sequence[Key]) -> str:
        """Returns the token of the page that begins after the row with this key."""
        return encode(self._query, key)


def read_page(
    page_size: int,
    page_token: str,
    *,
    query: Sequence[str],
    key_types: Sequence[type[Key]],
    size_max: int = PAGE_SIZE_MAX,
) -> Page:
    """Returns the page that a request asks for.

    `query` holds all parameters that determine the rows and their order (parent, filter, order_by, …), `key_types` the
    types of the sort key's parts. A `page_size` of 0 means 50; larger ones than `size_max` are reduced to it. Raises
    InvalidArgument with violations of page_size (negative) and page_token (malformed, or of another query).
    """
    violations = []
    if page_size < 0:
        violations.append(FieldViolation("page_size", "must not be negative", "PAGE_SIZE_NEGATIVE"))
    listed = fingerprint(query)
    after = None
    if page_token:
        try:
            after = decode(listed, page_token, key_types)
        except ValueError as error:
            violations.append(FieldViolation("page_token", str(error), "PAGE_TOKEN_INVALID"))
    if violations:
        first = violations[0]
        raise InvalidArgument(f"{first.field} {first.description}.", reason=first.reason, violations=violations)
    return Page(min(page_size or PAGE_SIZE_DEFAULT, size_max), after, listed)
