"""The status and headers that a service chooses for a google.api.HttpBody."""

import pytest
from googleapis.google.api.httpbody_pb import HttpBody
from meshwright.policy.v1.policy_pb import HttpResponse, RateLimit
from protobuf.wkt import Any

from edge.reply.chosen_response import chosen_response


def body(**chosen: object) -> HttpBody:
    """Returns a body whose service chose this."""
    return HttpBody(extensions=[Any.pack(RateLimit(requests=1)), Any.pack(HttpResponse(**chosen))])  # type: ignore[arg-type]


def test_a_redirect_is_passed_on() -> None:
    """Status and Location are those of the service; other extensions are ignored."""
    chosen = chosen_response(body(status=303, headers={"location": "https://a.example/?b=c"}))
    assert chosen == (303, [(b"location", b"https://a.example/?b=c")])


@pytest.mark.parametrize("status", [-1, 0, 101, 199, 600])
def test_a_status_that_ends_no_call_is_ignored(status: int) -> None:
    """The one of the contract is sent then."""
    assert chosen_response(body(status=status)) == (0, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("set-cookie", "a=b"),
        ("content-length", "1"),
        ("Location", "/"),
        ("location", "/\r\nset-cookie: a=b"),
        ("location", ""),
        ("location", "/ä"),
    ],
)
def test_other_headers_and_values_are_dropped(name: str, value: str) -> None:
    """A service can set no cookie, and split no response."""
    assert chosen_response(body(status=303, headers={name: value})) == (303, [])


def test_without_an_extension_nothing_is_chosen() -> None:
    """Without the extension, the status and the headers are those of the contract."""
    assert chosen_response(HttpBody(data=b"x")) == (0, [])
