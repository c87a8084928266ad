"""Headers of HTTP messages."""

from mesh.errors import FieldViolation, InvalidArgument

Headers = list[tuple[bytes, bytes]]
"""Headers as in ASGI: pairs of a lower-case name and a value; a name may occur several times."""


def malformed_header(name: str, description: str) -> InvalidArgument:
    """Returns the error for a malformed header; `description` continues the sentence "The header … must be"."""
    violation = FieldViolation(name, description, "MALFORMED_HEADER")
    return InvalidArgument(f"The header {name} {description}.", reason="MALFORMED_HEADER", violations=[violation])
