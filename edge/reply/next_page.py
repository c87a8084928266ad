"""The link to the next page of a list (AIP-158) as a header, `Link: <…>; rel="next"` (RFC 8288)."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import quote_plus, unquote_plus

from protobuf import DescField, Message

from edge.contract.route import Route
from edge.http.request import Request
from edge.protojson.fields import find_field, find_text_field


@dataclass(frozen=True, slots=True)
class NextPage:
    """The fields of one route's requests and responses that hold page tokens."""

    page_token: DescField
    next_page_token: DescField

    @classmethod
    def of(cls, route: Route) -> Self | None:
        """Returns the fields, None if a URL of the route can't select a page or its responses are not pages."""
        token = find_text_field(route.method.desc.input, "page_token")
        next_token = find_text_field(route.method.desc.output, "next_page_token")
        if route.http_method != "GET" or token is None or next_token is None or (token,) in route.variables:
            return None
        return cls(token, next_token)

    def link(self, request: Request, response: Message) -> bytes:
        """Returns the value of the header, b"" on the last page."""
        token: str = response[self.next_page_token]
        if not token:
            return b""
        kept = [piece for piece in request.query.split(b"&") if piece and not self._is_page_token(piece)]
        query = b"&".join([*kept, f"{quote_plus(self.page_token.json_name)}={quote_plus(token)}".encode()])
        target = request.path.encode("latin-1") + b"?" + query
        return b"<" + target.replace(b"<", b"%3C").replace(b">", b"%3E") + b'>; rel="next"'

    def _is_page_token(self, parameter: bytes) -> bool:
        name = unquote_plus(parameter.partition(b"=")[0].decode("latin-1"))
        return find_field(self.page_token.parent, name) is self.page_token
