"""Conversion between etags of resources and entity-tags of HTTP (RFC 9110, section 8.8.3).

An etag (AIP-154) identifies a version of a resource in any representation. A strong entity-tag identifies one
representation, so each content coding has its own: "7" uncompressed, "7-gzip" in gzip. Both are read as etag 7.
"""

import re
from typing import Final
from urllib.parse import quote, unquote

import xxhash

from edge.http.decompression import CODINGS

ANY: Final = b"*"
"""The wildcard for every tag."""

# The characters of an entity-tag (RFC 9110, section 8.8.3) except %, which escapes all others.
_SAFE: Final = "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_UNESCAPED = re.compile(f"[0-9A-Za-z{re.escape(_SAFE)}]*")
_TAG = re.compile(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_TAGS = re.compile(rb"%b(?:[ \t]*,[ \t,]*%b)*" % (_TAG.pattern, _TAG.pattern))
_SUFFIXES: Final = tuple(f"-{coding}" for coding in CODINGS)


def strong_tag(etag: str) -> bytes:
    """Returns the tag for an etag. An etag that ends like the suffix of a coding is escaped."""
    opaque = etag if _UNESCAPED.fullmatch(etag) else quote(etag, safe=_SAFE)
    if opaque.endswith(_SUFFIXES):
        start, _, coding = opaque.rpartition("-")
        opaque = f"{start}%2D{coding}"
    return f'"{opaque}"'.encode()


def weak_tag(body: bytes) -> bytes:
    """Returns a tag of the body for a resource without an etag, so that an unchanged body is not sent again. The hash
    is not cryptographic: who can choose bodies with the same hash chooses what their readers see anyway.
    """
    return b'W/"' + xxhash.xxh3_128_hexdigest(body).encode() + b'"'


def tag_in_coding(tag: bytes, coding: str) -> bytes:
    """Returns the tag of the same version in a content coding (RFC 9110, section 8.8.3.3)."""
    return tag[:-1] + f'-{coding}"'.encode() if _TAG.fullmatch(tag) else tag


def parse_tags(header: bytes) -> list[bytes]:
    """Parses the tags of an If-Match or If-None-Match header, [ANY] for "*". Raises ValueError if it is malformed."""
    text = header.strip(b" \t,")
    if text == ANY:
        return [ANY]
    if not _TAGS.fullmatch(text):
        raise ValueError("is not a list of entity-tags")
    return _TAG.findall(text)


def etag_of(tag: bytes) -> str:
    """Returns the etag of a tag, weak or strong, in any content coding."""
    opaque = tag.removeprefix(b"W/")[1:-1].decode("latin-1")
    for suffix in _SUFFIXES:
        if opaque.endswith(suffix):
            return unquote(opaque.removesuffix(suffix))
    return unquote(opaque)


def matches(tag: bytes, tags: list[bytes]) -> bool:
    """Returns whether one of the tags is ANY or equals this one by weak comparison (RFC 9110, section 8.8.3.2)."""
    strong = tag.removeprefix(b"W/")
    return strong in tags or b"W/" + strong in tags or ANY in tags
