"""Syntax errors in the parameters of a list request, filter and order_by."""

from mesh.errors import FieldViolation, InvalidArgument

_QUOTED_LENGTH_MAX = 32


def syntax_error(field: str, at: int, problem: str) -> InvalidArgument:
    """Returns the error of a request whose `field` is invalid at the index `at`. The message counts columns from 1."""
    description = f"column {at + 1}: {problem}"
    reason = f"{field.upper()}_INVALID"
    violation = FieldViolation(field, description, reason)
    return InvalidArgument(f"{field}, {description}.", reason=reason, violations=[violation])


def quoted(text: str) -> str:
    """Returns a caller's text for an error message: shortened, and with printable characters only."""
    shown = text if len(text) <= _QUOTED_LENGTH_MAX else f"{text[:_QUOTED_LENGTH_MAX]}…"
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in shown)
