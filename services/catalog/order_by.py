"""The order of lists after AIP-132, from text to sort keys.

    order_by = [ term , { "," , term } ] ;
    term     = field , [ "asc" | "desc" ] ;

Blanks may stand between any two of these. An order must be one that an index has: by one field, or by category and then
one other field in the same direction.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.catalog.syntax import quoted, syntax_error

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
    """The sort keys, the newest first where there are none.

    Raises InvalidArgument with a violation of `order_by` that tells the column, from 1.
    """
    if not text.strip():
        return NEWEST_FIRST
    keys: list[SortKey] = []
    at = 0
    while at <= len(text):
        match = _TERM.match(text, at)
        assert match is not None, "it matches the empty text, too"
        key = _sort_key(match)
        if problem := _problem(keys, key):
            raise syntax_error("order_by", match.start("field"), problem)
        keys.append(key)
        at = match.end() + len(",")
    return tuple(keys)


def _problem(before: Sequence[SortKey], key: SortKey) -> str:
    """Why this key can't come after those before it, empty if it can."""
    if any(key.field == each.field for each in before):
        return f'"{key.field}" is there already'
    if before and (len(before) == 2 or before[0].field != FIRST_OF_TWO):
        return f'no index has this order: order by one field, or by "{FIRST_OF_TWO}" and one more'
    if before and key.descending != before[0].descending:
        return 'no index has this order: both fields must be "asc", or both "desc"'
    return ""


def _sort_key(term: re.Match[str]) -> SortKey:
    field, direction = term["field"], term["direction"]
    if field not in FIELDS:
        problem = f'there is no field "{quoted(field)}" to sort by; there are' if field else "expected a field, one of"
        raise syntax_error("order_by", term.start("field"), f"{problem} {', '.join(FIELDS)}")
    if direction not in ("", "asc", "desc"):
        raise syntax_error("order_by", term.start("direction"), 'expected "asc", "desc", a comma or the end')
    if term["rest"]:
        raise syntax_error("order_by", term.start("rest"), "expected a comma or the end")
    return SortKey(field, descending=direction == "desc")
