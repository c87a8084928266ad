"""Errors in the small languages of a list request, filter and order_by."""

from mesh.errors import FieldViolation, InvalidArgument

_QUOTED_LENGTH_MAX = 32


def syntax_error(field: str, at: int, problem: str) -> InvalidArgument:
    """The error of a request whose `field` is wrong from the character with the index `at`; people count from 1."""
    description = f"column {at + 1}: {problem}"
    reason = f"{field.upper()}_INVALID"
    violation = FieldViolation(field, description, reason)
    return InvalidArgument(f"{field}, {description}.", reason=reason, violations=[violation])


def quoted(text: str) -> str:
    """What the caller wrote, short enough for a sentence and in printable characters."""
    shown = text if len(text) <= _QUOTED_LENGTH_MAX else f"{text[:_QUOTED_LENGTH_MAX]}…"
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in shown)
