"""From the bytes of the response message to the HTTP reply."""

import json
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import structlog
from protobuf import (
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
    Message,
    Registry,
    ScalarType,
)

from edge.body import HTTP_BODY
from edge.contract import Route
from edge.errors import Headers, HttpError
from edge.request import JSON, Request, accepts
from mesh.policy import Policy

log = structlog.get_logger()

# What RFC 9110, section 8.8.3, lets an entity-tag hold, less the % that escapes the rest.
_ETAG_SAFE: Final = "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_ENTITY_TAGS = re.compile(rb'(?:W/)?("[^"]*")')
_MEDIA_TYPE = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+/[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:\s*;[\x20-\x7e]*)?")


@dataclass(frozen=True, slots=True)
class JsonStyle:
    """How responses are written; the defaults are those of ProtoJSON."""

    proto_names: bool = False
    enums_as_numbers: bool = False
    emit_defaults: bool = False


@dataclass(slots=True)
class Reply:
    """An HTTP reply. A body that is not known as a whole comes in pieces, each of which is sent at once; whoever makes
    them takes care of what goes wrong after the first.
    """

    status: int
    headers: Headers
    body: bytes | AsyncGenerator[bytes, None]


class Replies:
    """Makes the replies of one route."""

    def __init__(self, route: Route, registry: Registry, style: JsonStyle) -> None:
        self._output = route.method.desc.output
        self._type = self._output.type
        self._field = route.response_body
        self._registry = registry
        self._options: dict[str, Any] = {
            "registry": registry,
            "use_proto_field_name": style.proto_names,
            "print_enums_as_ints": style.enums_as_numbers,
            "always_emit_implicit": style.emit_defaults,
        }
        self._name = route.method.name
        self._status = route.method.policy.http_status
        self._raw = _inner(self._output, self._field) == HTTP_BODY
        self._is_read = route.http_method == "GET"
        self._etag = _etag_attribute(self._output) if self._is_read else ""
        cache = _cache_control(route.method.policy, is_read=self._is_read)
        self._headers: Headers = [(b"cache-control", cache)] if cache else []

    def check_acceptable(self, accept: bytes | None) -> None:
        """Raises HttpError 406 if the client takes no JSON and this is all that there will be."""
        if not accept or self._raw or accept in (b"*/*", b"application/json") or accepts(accept, JSON):
            return
        raise HttpError(406, f"This method answers {JSON} only.", "NOT_ACCEPTABLE")

    def make(self, request: Request, message: bytes) -> Reply:
        """The reply of a response message. Raises HttpError 502 if the service sent something that is none."""
        try:
            response = self._type.from_binary(message)
            headers, body = self._raw_body(response) if self._raw else (_JSON_HEADERS, self._json(response))
        except (ValueError, EOFError, RecursionError, OverflowError) as error:
            log.exception("a service sent what is no response", rpc=self._name)
            raise HttpError(502, "The service gave no proper answer.", "BAD_RESPONSE") from error
        reply = Reply(self._status, [*headers, *self._headers], body)
        if self._etag and (etag := getattr(response, self._etag)):
            self._add_etag(reply, etag, request.headers)
        return reply

    def _json(self, response: Message) -> bytes:
        if self._field is None:
            return response.to_json(**self._options).encode()
        name = self._field.name if self._options["use_proto_field_name"] else self._field.json_name
        if isinstance(self._field.value, DescFieldValueMessage) and response[self._field] is not None:
            inner: Message = response[self._field]
            return inner.to_json(**self._options).encode()
        whole = json.loads(response.to_json(**{**self._options, "always_emit_implicit": True}))
        return json.dumps(whole.get(name, _absent(self._field)), separators=(",", ":"), ensure_ascii=False).encode()

    def _raw_body(self, response: Message) -> tuple[Headers, bytes]:
        """The bytes of a google.api.HttpBody under their own type."""
        body: Any = response if self._field is None else response[self._field]
        if body is None:
            return [], b""
        content_type = body.content_type if _MEDIA_TYPE.fullmatch(body.content_type) else "application/octet-stream"
        # The type is what the service says; a browser must not guess another one and run it.
        return [(b"content-type", content_type.encode()), (b"x-content-type-options", b"nosniff")], body.data

    def _add_etag(self, reply: Reply, etag: str, headers: Mapping[bytes, bytes]) -> None:
        """Adds the ETag; makes the reply a 304 without a body if the client has this version (RFC 9110, 13.1.2)."""
        tag = f'"{quote(etag, safe=_ETAG_SAFE)}"'.encode()
        reply.headers.append((b"etag", tag))
        known = headers.get(b"if-none-match")
        if known is not None and (known.strip() == b"*" or tag in _ENTITY_TAGS.findall(known)):
            reply.status, reply.body = 304, b""
            reply.headers = [(name, value) for name, value in reply.headers if name != b"content-type"]


_JSON_HEADERS: Final[Headers] = [(b"content-type", b"application/json")]


def _inner(message: DescMessage, field: DescField | None) -> str:
    """The name of the type that is answered, empty if it is no message."""
    if field is None:
        return message.type_name
    return field.value.message.type_name if isinstance(field.value, DescFieldValueMessage) else ""


def _absent(field: DescField) -> Any:
    """The JSON of a field that is not there."""
    match field.value:
        case DescFieldValueList():
            return []
        case DescFieldValueMap() | DescFieldValueMessage():
            return {}
    return None


def _etag_attribute(message: DescMessage) -> str:
    """The attribute that holds the etag (AIP-154), empty if there is none."""
    for field in message.fields:
        value = field.value
        if field.name == "etag" and isinstance(value, DescFieldValueScalar) and value.scalar is ScalarType.STRING:
            return field.local_name if value.oneof is None else ""
    return ""


def _cache_control(policy: Policy, *, is_read: bool) -> bytes:
    """What the contract says about reuse. Where it says nothing, a read may be kept but must be checked each time, and
    only by the client itself if its token decides what it sees.
    """
    if policy.cache_s == 0:
        return b"no-store"
    if not is_read:
        return b""
    scope = "public" if policy.public else "private"
    return (
        f"{scope}, max-age={policy.cache_s}".encode() if policy.cache_s is not None else f"{scope}, no-cache".encode()
    )
