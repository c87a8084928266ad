"""Checks of request heads that the parser accepts."""

import pytest

from edge.http.request_head import can_parse_method, head_error

HOST = (b"host", b"edge.example:8080")


@pytest.mark.parametrize(
    ("version", "url", "headers", "error"),
    [
        ("1.1", b"/v1/books", [HOST], ""),
        ("1.1", b"/", [(b"host", b"[2001:db8::1]:443")], ""),
        ("1.1", b"/", [(b"host", b"")], ""),
        ("1.0", b"/", [], ""),
        ("2.0", b"/", [HOST], "The request line does not name a version of HTTP/1."),
        ("1.1", b"/#top", [HOST], "The URL must not have a fragment."),
        ("1.1", b"/", [], "A request must have exactly one Host header."),
        ("1.1", b"/", [HOST, HOST], "A request must have exactly one Host header."),
        ("1.0", b"/", [HOST, HOST], "A request must have exactly one Host header."),
        ("1.1", b"/", [(b"host", b"user@edge.example")], "The Host header is not a valid host."),
        (
            "1.0",
            b"/",
            [(b"transfer-encoding", b"chunked")],
            "An HTTP/1.0 request must not have a Transfer-Encoding.",
        ),
    ],
)
def test_a_malformed_head_has_an_error(
    version: str, url: bytes, headers: list[tuple[bytes, bytes]], error: str
) -> None:
    """A head with a wrong version, URL, host or framing has an error, and a well-formed one has none."""
    assert head_error(version, url, headers) == error


def test_only_methods_of_the_parser_can_be_parsed() -> None:
    """The parser accepts the methods on its list, among them GET and PROPFIND, but no invented ones."""
    assert [can_parse_method(method) for method in ("GET", "PROPFIND", "LEND")] == [True, True, False]
