"""Entity-tags (RFC 9110, section 8.8.3), made of etags and read back from the headers that name them.

An etag (AIP-154) names a version of a resource, whatever its representation. A strong tag names a representation, so
each content coding has its own: "7" as it is, "7-gzip" in gzip. A tag that comes back names the version again.
"""

import hashlib
import re
from typing import Final
from urllib.parse import quote, unquote

from edge.http.decompression import CODINGS

ANY: Final = b"*"
"""What stands in a list's place for every tag."""

# What RFC 9110, section 8.8.3, lets an entity-tag hold, less the % that escapes the rest.
_SAFE: Final = "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_TAG = re.compile(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_SEPARATOR = re.compile(rb"[ \t]*(?:,[ \t]*)+")
_SUFFIXES: Final = tuple(f"-{coding}" for coding in CODINGS)


def strong_tag(etag: str) -> bytes:
    """The tag of a resource that has this etag. One that ends like a coding's tag is escaped, so that it is none."""
    opaque = quote(etag, safe=_SAFE)
    for suffix in _SUFFIXES:
        if opaque.endswith(suffix):
            opaque = f"{opaque.removesuffix(suffix)}%2D{suffix[1:]}"
    return f'"{opaque}"'.encode()


def weak_tag(body: bytes) -> bytes:
    """The tag of a resource without an etag: of what is answered, so that reading it again costs no transfer."""
    return b'W/"' + hashlib.blake2b(body, digest_size=12).hexdigest().encode() + b'"'


def coded(tag: bytes, coding: str) -> bytes:
    """The tag of the same version in a content coding (RFC 9110, section 8.8.3.3)."""
    return tag[:-1] + f'-{coding}"'.encode() if _TAG.fullmatch(tag) else tag


def listed(header: bytes) -> list[bytes]:
    """The tags of an If-Match or If-None-Match header, [ANY] for "*". Raises ValueError if it is malformed."""
    text = header.strip(b" \t,")
    if text == ANY:
        return [ANY]
    tags, at = [], 0
    while (found := _TAG.match(text, at)) is not None:
        tags.append(found[0])
        separator = _SEPARATOR.match(text, found.end())
        if separator is None:
            if found.end() == len(text):
                return tags
            break
        at = separator.end()
    raise ValueError("is no list of entity-tags")


def version(tag: bytes) -> str:
    """The etag that a tag names, weak or strong, in whatever coding."""
    opaque = tag.removeprefix(b"W/")[1:-1].decode("latin-1")
    for suffix in _SUFFIXES:
        if opaque.endswith(suffix):
            return unquote(opaque.removesuffix(suffix))
    return unquote(opaque)


def matches(tag: bytes, tags: list[bytes]) -> bool:
    """Whether one of the tags is this one by weak comparison (RFC 9110, section 8.8.3.2), or is ANY."""
    return any(each == ANY or each.removeprefix(b"W/") == tag.removeprefix(b"W/") for each in tags)
