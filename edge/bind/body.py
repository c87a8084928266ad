"""From the body of a request to the message that it is, or to the field of the message that it is."""

from typing import Any, Final

from protobuf import DescMessage, Message

from edge.bind.query import Parameters, split
from edge.contract.http_body import raw_type
from edge.contract.route import Route
from edge.http.content_type import is_json_as_form, is_utf8, unsupported
from edge.http.request import FORM, JSON, Request
from edge.protojson.fields import assign
from edge.protojson.parser import Malformed, parse
from edge.protojson.problems import MISSING, ROOT, Problems
from edge.protojson.readers import FieldReader, Readers
from mesh.errors import FieldViolation, InvalidArgument

_NOTHING_BYTES_MAX: Final = 64


class Body:
    """How one route reads the bodies of its requests: as JSON; as a form, if the body is the whole message; as they
    are, into a google.api.HttpBody; or not at all.
    """

    def __init__(self, route: Route, readers: Readers) -> None:
        self._input = route.method.desc.input
        self._field = route.body
        self._whole = route.whole_body
        self._raw = raw_type(route)
        self._ignores = readers.ignore_unknown
        self._message_reader = readers.message(self._input) if self._whole and self._raw is None else None
        self._field_reader: FieldReader | None = readers.field(self._field) if self._field is not None else None
        self._form = Parameters(self._input, readers, in_path=route.variables)

    def read(self, request: Request, content: bytes, problems: Problems) -> tuple[Message, Any]:
        """The message with what the body gives, and the body's parsed JSON. Notes what is wrong with fields.

        Raises HttpError 415 if the body is of another type, InvalidArgument if it is malformed or must not be there.
        """
        if self._raw is not None and (content or _sends_body(request)):
            return self._read_raw(self._raw, request, content), None
        if not content:
            return self._input.type(), None
        if not self._whole and self._field is None:
            if not (self._ignores or _says_nothing(content)):
                raise _malformed("This method takes no body: give its fields in the URL.", "BODY_NOT_EXPECTED")
            return self._input.type(), None
        types = (JSON, FORM) if self._whole else (JSON,)
        media_type = request.media_type() or JSON
        if media_type not in types or not is_utf8(request) or is_json_as_form(request, content):
            raise unsupported(request, types, " or ".join(types), content)
        if media_type == FORM:
            message = self._input.type()
            self._form.bind(split(content, problems), message, problems)
            return message, None
        return self._read_json(content, problems)

    def _read_json(self, content: bytes, problems: Problems) -> tuple[Message, Any]:
        try:
            document = parse(content)
        except Malformed as error:
            raise _malformed(str(error), "MALFORMED_JSON") from error
        if self._message_reader is not None:
            message = self._message_reader.read(document, ROOT, problems)
            return (self._input.type() if message is MISSING else message), document
        message = self._input.type()
        if self._field_reader is not None and (document is not None or self._field_reader.nullable):
            value = self._field_reader.reader.read(document, (ROOT, self._field_reader.json_name, 0), problems)
            if value is not MISSING:
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


def _sends_body(request: Request) -> bool:
    """Whether a request has a body, which may be empty: a file of no bytes has a type too."""
    return any(name in request.headers for name in (b"content-length", b"transfer-encoding", b"content-type"))


def _says_nothing(content: bytes) -> bool:
    """Whether a body is what clients send that always send one: white space, {}, [] or null. It has no meaning where no
    body is expected (RFC 9110, section 9.3.1; AEP-135 ignores it).
    """
    text = content.strip(b" \t\r\n")
    if len(text) > _NOTHING_BYTES_MAX:
        return False
    try:
        return not text or parse(text) in (None, {}, [])
    except Malformed:
        return False


def _malformed(text: str, reason: str) -> InvalidArgument:
    violation = FieldViolation("body", text, reason)
    return InvalidArgument(text, reason=reason, violations=[violation])
