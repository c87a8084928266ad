"""HTTP replies to calls whose response is one message."""

import re
from collections.abc import Callable
from typing import Any, Final

from protobuf import DescFieldValueScalar, DescMessage, Message, ScalarType

from edge.bind.system_parameters import ALT, PROTO, SystemParameters
from edge.contract.http_body import returns_http_body
from edge.contract.route import Route
from edge.http.entity_tags import strong_tag, weak_tag
from edge.http.errors import HttpError
from edge.http.headers import Headers, overridden
from edge.http.invalid_response import invalid_response
from edge.http.negotiation import media_quality
from edge.http.reply import Reply
from edge.http.request import JSON, Request
from edge.protojson.writer import DECODE_ERRORS, MessageWriter
from edge.reply.cache_control import cache_control
from edge.reply.chosen_response import chosen_response
from edge.reply.next_page import NextPage
from edge.reply.response_writer import JsonStyle, ResponseOptions, ResponseWriter
from mesh.client import UnaryResponse
from mesh.errors import FieldViolation, Metadata, invalid_fields

PROTOBUF: Final = "application/x-protobuf"
NO_CONTENT: Final = frozenset({204, 205, 304})
"""The statuses of replies without content, even if the service sent some. A client would take the bytes behind a 204 or
304 for the next reply: RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5, and RFC 9112, section 6.3.
"""

_MEDIA_TYPE = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+/[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:\s*;[\x20-\x7e]*)?")


class Replies:
    """The replies of one route."""

    def __init__(
        self, route: Route, metadata_headers: Callable[[Metadata], Headers], messages: MessageWriter, style: JsonStyle
    ) -> None:
        """`metadata_headers` returns the headers for the metadata of a response."""
        self._metadata_headers = metadata_headers
        self._output = route.method.desc.output
        self._type = self._output.type
        self._field = route.response_body
        self._writer = ResponseWriter(self._output, self._field, messages, style)
        self._name = route.method.name
        self._status = route.method.policy.http_status
        self._raw = returns_http_body(route)
        self._is_read = route.http_method == "GET"
        self._etag = _etag_attribute(self._output) if self._is_read else ""
        self._next_page = NextPage.of(route)
        cache = cache_control(route.method.policy, is_read=self._is_read)
        self._headers: Headers = [(b"cache-control", cache)] if cache else []

    def options(self, accept: bytes | None, wanted: SystemParameters) -> ResponseOptions:
        """Returns how the client wants the response written. Raises HttpError 406 or InvalidArgument if the route has
        no such format.
        """
        if wanted.alt in ("media", "sse") and not (self._raw and wanted.alt == "media"):
            why = "return a file" if wanted.alt == "media" else "stream"
            problem = FieldViolation(ALT, f"can't be {wanted.alt}: this method does not {why}", "INVALID_VALUE")
            raise invalid_fields((problem,))
        kind = PROTOBUF if wanted.alt == PROTO else JSON
        if accept and not self._raw and accept != b"*/*" and not media_quality(accept, kind):
            raise HttpError(406, f"This method returns {kind} only.", "NOT_ACCEPTABLE")
        return self._writer.options(wanted)

    def build(self, request: Request, response: UnaryResponse, options: ResponseOptions) -> Reply:
        """Returns the reply to a call. Raises HttpError 502 if the service sent an invalid message."""
        try:
            message = self._type.from_binary(response.message)
            status, headers, body = self._raw_reply(message) if self._raw else self._written(message, options)
        except DECODE_ERRORS as error:
            raise invalid_response(self._name, error) from error
        if status in NO_CONTENT:
            headers, body = [header for header in headers if header[0] != b"content-type"], b""
        own = _without(self._headers, headers) if self._raw else self._headers
        reply = Reply(status, [*headers, *own], body)
        if self._next_page is not None and (link := self._next_page.link(request, message)):
            reply.headers.append((b"link", link))
        if self._is_read and not self._raw:
            etag = getattr(message, self._etag) if self._etag else ""
            reply.headers.append((b"etag", strong_tag(etag) if etag else weak_tag(body)))
        if given := self._metadata_headers(response.metadata):
            reply.headers = overridden(reply.headers, given)
        return reply

    def _written(self, response: Message, options: ResponseOptions) -> tuple[int, Headers, bytes]:
        headers = _PROTOBUF_HEADERS if options.proto else _JSON_HEADERS
        return self._status, headers, self._writer.write(response, options)

    def _raw_reply(self, response: Message) -> tuple[int, Headers, bytes]:
        """Returns the bytes of a google.api.HttpBody, and the status and headers that the service chose for them."""
        body: Any = response if self._field is None else response[self._field]
        if body is None:
            return self._status, [], b""
        status, headers = chosen_response(body)
        return status or self._status, [*content_headers(body.content_type), *headers], body.data


def content_headers(content_type: str) -> Headers:
    """Returns the headers of a google.api.HttpBody with this type."""
    known = content_type if _MEDIA_TYPE.fullmatch(content_type) else "application/octet-stream"
    return [(b"content-type", known.encode())]


def _without(headers: Headers, others: Headers) -> Headers:
    """Returns the headers whose names are not among those of others."""
    names = {name for name, _ in others}
    return [header for header in headers if header[0] not in names]


_JSON_HEADERS: Final[Headers] = [(b"content-type", JSON.encode())]
_PROTOBUF_HEADERS: Final[Headers] = [(b"content-type", PROTOBUF.encode())]


def _etag_attribute(message: DescMessage) -> str:
    """Returns the name of the attribute that holds the etag (AIP-154), "" if there is none."""
    for field in message.fields:
        value = field.value
        if field.name == "etag" and isinstance(value, DescFieldValueScalar) and value.scalar is ScalarType.STRING:
            return field.local_name if value.oneof is None else ""
    return ""
