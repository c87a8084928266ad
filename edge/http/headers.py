"""Headers of HTTP messages."""

from typing import Final

from mesh.errors import FieldViolation, InvalidArgument

Headers = list[tuple[bytes, bytes]]
"""Headers as in ASGI: pairs of a lower-case name and a value; a name may occur several times."""

_OVERRIDABLE: Final = frozenset(
    {
        *(b"accept-ranges", b"cache-control", b"content-disposition", b"content-language", b"content-range", b"etag"),
        *(b"expires", b"last-modified"),
    }
)
"""Headers that describe a response, each of which it has once at most."""


def overridden(headers: Headers, given: Headers) -> Headers:
    """Returns the headers of a response with those that the service gave, which replace those of the edge."""
    names = {name for name, _ in given if name in _OVERRIDABLE}
    return [*(header for header in headers if header[0] not in names), *given]


def malformed_header(name: str, description: str) -> InvalidArgument:
    """Returns the error for a malformed header; `description` continues the sentence "The header … must be"."""
    violation = FieldViolation(name, description, "MALFORMED_HEADER")
    return InvalidArgument(f"The header {name} {description}.", reason="MALFORMED_HEADER", violations=[violation])
