"""The order of lists by AIP-132, from text to sort keys.

    order_by = [ term , { "," , term } ] ;
    term     = field , [ "asc" | "desc" ] ;

Blanks are allowed between any two of these. There must be an index with the order: by one field, or by category and
then one other field in the same direction.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.catalog.syntax_errors import quoted, syntax_error

FIELDS = ("title", "category", "price", "create_time", "update_time")
FIRST_OF_TWO = "category"


@dataclass(frozen=True, slots=True)
class SortKey:
    """A field to sort by."""

    field: str
    descending: bool = False


NEWEST_FIRST = (SortKey("create_time", descending=True),)

_TERM = re.compile(r"[ \t\r\n]*(?P<field>[^\s,]*)[ \t\r\n]*(?P<direction>[^\s,]*)[ \t\r\n]*(?P<rest>[^,]*)")


def parse_order_by(text: str) -> tuple[SortKey, ...]:
    """Parses an order; an empty one is the newest first. Raises InvalidArgument with a violation of `order_by` that
    names the column, from 1.
    """
    if not text.strip():
        return NEWEST_FIRST
    keys: list[SortKey] = []
    at = 0
    while at <= len(text):
        match = _TERM.match(text, at)
        assert match is not None, "the pattern matches the empty text"
        key = _sort_key(match)
        if problem := _problem(keys, key):
            raise syntax_error("order_by", match.start("field"), problem)
        keys.append(key)
        at = match.end() + len(",")
    return tuple(keys)


def _problem(before: Sequence[SortKey], key: SortKey) -> str:
    """Returns why this key is not allowed after those before it, empty if it is."""
    if any(key.field == each.field for each in before):
        return f'"{key.field}" is repeated'
    if before and (len(before) == 2 or before[0].field != FIRST_OF_TWO):
        return f'this order is not supported: order by one field, or by "{FIRST_OF_TWO}" and one more'
    if before and key.descending != before[0].descending:
        return 'this order is not supported: both fields must be "asc", or both "desc"'
    return ""


def _sort_key(term: re.Match[str]) -> SortKey:
    field, direction = term["field"], term["direction"]
    if field not in FIELDS:
        problem = f'there is no field "{quoted(field)}"; the fields are' if field else "expected a field, one of"
        raise syntax_error("order_by", term.start("field"), f"{problem} {', '.join(FIELDS)}")
    if direction not in ("", "asc", "desc"):
        raise syntax_error("order_by", term.start("direction"), 'expected "asc", "desc", a comma or the end')
    if term["rest"]:
        raise syntax_error("order_by", term.start("rest"), "expected a comma or the end")
    return SortKey(field, descending=direction == "desc")
