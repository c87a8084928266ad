"""The link to the next page of a list (AIP-158) as a header, `Link: <…>; rel="next"` (RFC 8288)."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import quote_plus, unquote_plus

from protobuf import DescField, DescFieldValueScalar, DescMessage, Message, ScalarType

from edge.contract.route import Route
from edge.http.request import Request
from edge.protojson.fields import declared, find


@dataclass(frozen=True, slots=True)
class NextPage:
    """Where one route's requests and responses have their page tokens."""

    given: DescField
    next: DescField

    @classmethod
    def of(cls, route: Route) -> Self | None:
        """None if the route's URL can't name a page, or its responses are no pages."""
        given, following = (
            _text(route.method.desc.input, "page_token"),
            _text(route.method.desc.output, "next_page_token"),
        )
        if route.http_method != "GET" or given is None or following is None or (given,) in route.variables:
            return None
        return cls(given, following)

    def link(self, request: Request, response: Message) -> bytes:
        """The value of the header; empty on the last page."""
        token: str = response[self.next]
        if not token:
            return b""
        kept = [piece for piece in request.query.split(b"&") if piece and not self._is_given(piece)]
        query = b"&".join([*kept, f"{quote_plus(self.given.json_name)}={quote_plus(token)}".encode()])
        target = request.path.encode("latin-1") + b"?" + query
        return b"<" + target.replace(b"<", b"%3C").replace(b">", b"%3E") + b'>; rel="next"'

    def _is_given(self, parameter: bytes) -> bool:
        """Whether a parameter of the query is the token of the page."""
        name = unquote_plus(parameter.partition(b"=")[0].decode("latin-1"))
        return find(self.given.parent, name) is self.given


def _text(message: DescMessage, name: str) -> DescField | None:
    field = declared(message, name)
    is_text = (
        field is not None and isinstance(field.value, DescFieldValueScalar) and field.value.scalar is ScalarType.STRING
    )
    return field if is_text else None
