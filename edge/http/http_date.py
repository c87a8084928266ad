"""The dates in HTTP headers (RFC 9110, section 5.6.7)."""

from datetime import UTC, datetime
from typing import Final

# The format of today, and the two obsolete ones that a recipient has to accept.
_FORMATS: Final = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


def parse_http_date(header: bytes) -> datetime | None:
    """Parses a date. Returns None if it is not one, which a recipient has to ignore."""
    text = header.decode("latin-1")
    for each in _FORMATS:
        try:
            return datetime.strptime(text, each).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
