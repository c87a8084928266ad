"""The reading of request bodies, which hold the message or one of its fields."""

from typing import Any, Final

from protobuf import DescMessage, Message

from edge.bind.query_parameters import QueryParameters
from edge.bind.query_string import split_query
from edge.contract.http_body import http_body_type
from edge.contract.route import Route
from edge.http.content_type import is_json_as_form, is_utf8, unsupported_media_type
from edge.http.request import FORM, JSON, Request
from edge.protojson.fields import assign
from edge.protojson.parser import MalformedJson, parse
from edge.protojson.readers import FieldReader, Readers
from edge.protojson.violations import BODY, INVALID, ROOT, Violations
from mesh.errors import FieldViolation, InvalidArgument

_EMPTY_VALUE_BYTES_MAX: Final = 64


class BodyReader:
    """The reader of one route's bodies. A body is JSON, a form if the rule's body is `*`, or the bytes of a
    google.api.HttpBody; some routes take none.
    """

    def __init__(self, route: Route, readers: Readers) -> None:
        self._input = route.method.desc.input
        self._field = route.body
        self._whole = route.whole_body
        self._raw = http_body_type(route)
        self._ignores = readers.ignore_unknown
        self._message_reader = readers.message(self._input) if self._whole and self._raw is None else None
        self._field_reader: FieldReader | None = readers.field(self._field) if self._field is not None else None
        self._updates = route.http_method == "PATCH"
        self._form = QueryParameters(self._input, readers, in_path=route.variables)

    def read(self, request: Request, content: bytes, violations: Violations) -> tuple[Message, Any]:
        """Returns the message with the fields that the body holds, and the parsed JSON, or what a form for an update
        is in JSON. Adds invalid fields to `violations`.

        Raises HttpError 415 if the media type is not supported, InvalidArgument if the body is malformed or the method
        takes none.
        """
        if self._raw is not None and (content or _has_body(request)):
            return self._read_raw(self._raw, request, content), None
        if not content:
            return self._input.type(), None
        if not self._whole and self._field is None:
            if not (self._ignores or _is_empty_value(content)):
                raise _malformed("This method takes no body; send its fields in the URL.", "BODY_NOT_EXPECTED")
            return self._input.type(), None
        types = (JSON, FORM) if self._whole else (JSON,)
        media_type = request.media_type() or JSON
        if media_type not in types or not is_utf8(request) or is_json_as_form(request, content):
            raise unsupported_media_type(request, types, " or ".join(types), content)
        if media_type == FORM:
            message, pairs = self._input.type(), split_query(content, violations)
            self._form.bind(pairs, message, violations)
            return message, self._form.document(pairs) if self._updates else None
        return self._read_json(content, violations)

    def _read_json(self, content: bytes, violations: Violations) -> tuple[Message, Any]:
        try:
            document = parse(content)
        except MalformedJson as error:
            raise _malformed(str(error), "MALFORMED_JSON") from error
        if self._message_reader is not None:
            message = self._message_reader.read(document, ROOT, violations)
            return (self._input.type() if message is INVALID else message), document
        message = self._input.type()
        if self._field_reader is not None and (document is not None or self._field_reader.nullable):
            value = self._field_reader.reader.read(document, (ROOT, self._field_reader.json_name, 0), violations)
            if value is not INVALID:
                self._field_reader.assign(message, value)
        return message, document

    def _read_raw(self, http_body: DescMessage, request: Request, content: bytes) -> Message:
        content_type = request.headers.get(b"content-type", b"").decode("latin-1")
        body = http_body.type(content_type=content_type, data=content)
        if self._field is None:
            return body
        message = self._input.type()
        assign(message, self._field, body)
        return message


def _has_body(request: Request) -> bool:
    """Returns whether a request has a body, even one of no bytes: an empty file has a type."""
    return any(name in request.headers for name in (b"content-length", b"transfer-encoding", b"content-type"))


def _is_empty_value(content: bytes) -> bool:
    """Returns whether a body is white space, {}, [] or null, which some clients send with every request. It has no
    meaning where no body is expected (RFC 9110, section 9.3.1; AEP-135 ignores it).
    """
    text = content.strip(b" \t\r\n")
    if len(text) > _EMPTY_VALUE_BYTES_MAX:
        return False
    try:
        return not text or parse(text) in (None, {}, [])
    except MalformedJson:
        return False


def _malformed(text: str, reason: str) -> InvalidArgument:
    violation = FieldViolation(BODY, text, reason)
    return InvalidArgument(text, reason=reason, violations=[violation])
