"""Headers of HTTP messages."""

from mesh.errors import FieldViolation, InvalidArgument

Headers = list[tuple[bytes, bytes]]
"""Headers as ASGI has them: names in lower case, each with its value; a name may come several times."""


def malformed_header(name: str, description: str) -> InvalidArgument:
    """Returns the error of a request whose header `name` can't be read: it "must be …", as `description` says."""
    violation = FieldViolation(name, description, "MALFORMED_HEADER")
    return InvalidArgument(f"The header {name} {description}.", reason="MALFORMED_HEADER", violations=[violation])
