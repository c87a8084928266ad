"""Content negotiation by the Accept headers (RFC 9110, section 12.5)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

REMEMBERED_MAX: Final = 256
"""The size of the cache of parsed headers; clients send few different ones."""

BYTES_MAX: Final = 2048
"""How much of a header is read and remembered. A stream looks for each of its five media types, and one of thousands of
ranges would block the event loop; a server may disregard any part of these headers (RFC 9110, section 12.4.1).
"""


def media_quality(accept: bytes, media_type: str) -> float:
    """Returns the quality of a media type, from 0 for not acceptable to 1. The most specific range applies."""
    return _media_quality(_read(accept), media_type)


def preferred_coding(accept_encoding: bytes, offered: Sequence[str]) -> str:
    """Returns the content coding that a client prefers; `offered` has the best first, to break ties. Returns an empty
    string if the client prefers uncompressed content.
    """
    return _preferred_coding(_read(accept_encoding), offered)


def _read(header: bytes) -> bytes:
    return header if len(header) <= BYTES_MAX else header[:BYTES_MAX].rpartition(b",")[0]


@lru_cache(REMEMBERED_MAX)
def _media_quality(accept: bytes, media_type: str) -> float:
    ranks = {"*/*": 0, f"{media_type.partition('/')[0]}/*": 1, media_type: 2}
    best, quality = -1, 0.0
    for media_range, given in _items(accept):
        rank = ranks.get(media_range, -1)
        if rank > best:
            best, quality = rank, given
    return quality


@lru_cache(REMEMBERED_MAX)
def _preferred_coding(accept_encoding: bytes, offered: Sequence[str]) -> str:
    given = dict(_items(accept_encoding))
    identity = given.get("identity", 0.0)
    qualities = [(given.get(coding, given.get("*", 0.0)), coding) for coding in offered]
    quality, coding = max(qualities, key=lambda item: item[0])
    return coding if quality > 0 and quality >= identity else ""


def _items(header: bytes) -> list[tuple[str, float]]:
    """Returns the items of a header in lower case, without their parameters, each with its quality."""
    items = []
    for item in header.decode("latin-1").lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        if name:
            items.append((name, _quality(parameters)))
    return items


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
