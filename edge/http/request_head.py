"""Checks of request heads beyond those of httptools."""

import re

import httptools

# RFC 3986, section 3.2: host [ ":" port ].
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?",
)

_HOST_ONLY = re.compile(rb"https?://[^/?]+(?=\?|\Z)", re.IGNORECASE)


def with_path(url: bytes) -> bytes:
    """Returns a URL whose path is "/" if it names only a host: RFC 9110, section 4.2.3."""
    host = _HOST_ONLY.match(url)
    return host[0] + b"/" + url[host.end() :] if host else url


def head_error(version: str, url: bytes, headers: list[tuple[bytes, bytes]]) -> str:
    """Returns the reason why a head that httptools accepts is malformed, empty if it is well-formed."""
    if version not in ("1.0", "1.1"):
        return "The request line does not name a version of HTTP/1."
    if b"#" in url:
        return "The URL must not have a fragment."
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return "A request must have exactly one Host header."
    if hosts and not _HOST.fullmatch(hosts[0]):
        return "The Host header is not a valid host."
    # RFC 9112, section 6.1: such framing is faulty.
    if version == "1.0" and any(name == b"transfer-encoding" for name, _ in headers):
        return "An HTTP/1.0 request must not have a Transfer-Encoding."
    return ""


def body_length(headers: list[tuple[bytes, bytes]]) -> int:
    """Returns the length of the body behind a well-formed head, 0 if no header has it."""
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def can_parse_method(method: str) -> bool:
    """Returns whether the parser accepts requests of this HTTP method; httptools knows a fixed list."""
    try:
        httptools.HttpRequestParser(object()).feed_data(f"{method} / HTTP/1.1\r\n".encode())
    except httptools.HttpParserError:
        return False
    return True
