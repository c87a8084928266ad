"""The codecs of an RPC: between the messages of clients, in JSON or binary, and those of services."""

from collections.abc import Iterable
from typing import Final, Protocol

from edge.bind.request_rules import RequestRules
from edge.contract.method import Method
from edge.http.errors import HttpError
from edge.http.invalid_response import invalid_response
from edge.protojson.parser import MalformedJson, parse
from edge.protojson.readers import ElementReader, Readers
from edge.protojson.serialization import to_bytes
from edge.protojson.violations import INVALID, ROOT, Violations
from edge.protojson.writer import DECODE_ERRORS, MessageWriter
from mesh.errors import InvalidArgument, invalid_fields
from mesh.validation import Validator

JSON: Final = "json"
PROTO: Final = "proto"


class UnsupportedCodec(HttpError):
    """A request in a codec that is not supported."""

    def __init__(self, media_types: Iterable[str]) -> None:
        """`media_types` are the supported ones."""
        accepted = ", ".join(media_types)
        text = f"This RPC takes messages in one of the media types {accepted}."
        super().__init__(415, text, "CONTENT_TYPE_NOT_SUPPORTED", [(b"accept-post", accepted.encode())])


class Codec(Protocol):
    """A format of messages."""

    def decode(self, content: bytes) -> bytes:
        """Returns a serialised request message. Raises InvalidArgument if it is malformed or breaks the contract's
        rules.
        """

    def encode(self, message: bytes) -> bytes:
        """Returns a response message as the client reads it. Raises HttpError 502 if the service sent an invalid
        one.
        """


class Codecs:
    """The codecs of one method."""

    def __init__(self, method: Method, readers: Readers, validator: Validator, messages: MessageWriter) -> None:
        """`readers` ignore unknown fields. Raises protovalidate.CompilationError if a rule of the contract is
        invalid.
        """
        rules = RequestRules(method.desc.input, validator)
        self._codecs: dict[str, Codec] = {
            JSON: _JsonCodec(method, readers, rules, messages),
            PROTO: _BinaryCodec(method, rules),
        }

    def __getitem__(self, name: str) -> Codec:
        """Returns the codec of this name. Raises UnsupportedCodec if there is none."""
        if name not in self._codecs:
            raise UnsupportedCodec(f"application/{each}" for each in self._codecs)
        return self._codecs[name]


class _BinaryCodec:
    """Messages in Protobuf's binary format."""

    def __init__(self, method: Method, rules: RequestRules) -> None:
        self._input = method.desc.input
        self._rules = rules

    def decode(self, content: bytes) -> bytes:
        try:
            message = self._input.type.from_binary(content)
        except DECODE_ERRORS as error:
            text = f"The message is not a valid {self._input.type_name} in Protobuf's binary format."
            raise InvalidArgument(text, reason="MALFORMED_MESSAGE") from error
        if broken := self._rules.violations(message):
            raise invalid_fields(broken)
        return content

    def encode(self, message: bytes) -> bytes:
        return message


class _JsonCodec:
    """Messages in ProtoJSON."""

    def __init__(self, method: Method, readers: Readers, rules: RequestRules, messages: MessageWriter) -> None:
        self._name = method.name
        self._reader = ElementReader(readers, method.desc.input)
        self._output = method.desc.output
        self._messages = messages
        self._rules = rules

    def decode(self, content: bytes) -> bytes:
        try:
            document = parse(content)
        except MalformedJson as error:
            raise InvalidArgument(str(error), reason="MALFORMED_JSON") from error
        violations = Violations()
        message = self._reader.read(document, ROOT, violations)
        if message is not INVALID:
            self._rules.check(message, violations)
        violations.raise_if_any()
        sent: bytes = to_bytes(message, ROOT, violations)
        violations.raise_if_any()
        return sent

    def encode(self, message: bytes) -> bytes:
        try:
            response = self._output.type.from_binary(message)
            return self._messages.to_json(response).encode()
        except DECODE_ERRORS as error:
            raise invalid_response(self._name, error) from error
