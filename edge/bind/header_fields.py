"""Fields that a request implies without giving them: an update mask (AIP-134), a request id (AIP-155), an etag
(AIP-154), a resume token (the Last-Event-ID of server-sent events).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from googleapis.google.api.field_behavior_pb import FieldBehavior, ext_field_behavior
from protobuf import DescField, DescFieldValueMessage, DescFieldValueScalar, DescMessage, Message, ScalarType

from edge.bind.update_mask import declared_path
from edge.contract.resume_token import LAST_EVENT_ID, ResumeToken
from edge.contract.route import Route
from edge.http.entity_tags import ANY
from edge.http.preconditions import IF_MATCH, IF_NONE_MATCH, named_versions
from edge.protojson.client_paths import json_path
from edge.protojson.fields import assign, declared, descend, find, value_at
from edge.protojson.leaves import text_leaf
from edge.protojson.problems import InvalidValue, Problems
from edge.protojson.well_known import FIELD_MASK

IDEMPOTENCY_KEY: Final = b"idempotency-key"

_KEPT: Final = frozenset({FieldBehavior.OUTPUT_ONLY, FieldBehavior.IDENTIFIER})


class HeaderFields:
    """What the headers and the body of one route's requests imply."""

    def __init__(self, route: Route) -> None:
        request = route.method.desc.input
        self._request_id = _text_field(request, "request_id")
        self._etag = _etag(request, route)
        self._resume_token = ResumeToken.of(request) if route.method.streams else None
        self._changes = route.http_method not in ("GET", "HEAD")
        self._has_effects = route.method.has_effects
        self._mask = _mask_field(request) if route.http_method == "PATCH" else None
        self._whole_body = route.whole_body
        self._resource = _resource(route) if self._mask is not None else None
        self._in_path = frozenset(fields[-1] for fields in route.variables if fields[0] is self._resource)

    @property
    def takes_request_id(self) -> bool:
        """Whether the header Idempotency-Key means something."""
        return self._request_id is not None

    @property
    def takes_etag(self) -> bool:
        """Whether the header If-Match means something."""
        return self._etag is not None and self._changes

    def fill(self, message: Message, headers: Mapping[bytes, bytes], document: Any, problems: Problems) -> None:
        """Sets what is implied and not given. `document` is the parsed body."""
        if self._request_id is not None and (key := headers.get(IDEMPOTENCY_KEY)) is not None:
            self._put(message, (self._request_id,), _idempotency_key(key), "Idempotency-Key", problems)
        if self._changes:
            self._fill_etag(message, headers, problems)
        if self._resume_token is not None and (event_id := headers.get(LAST_EVENT_ID)):
            try:
                self._resume_token.fill(message, event_id)
            except UnicodeDecodeError:
                problems.add("Last-Event-ID", InvalidValue("is no id of an event of this stream", "MALFORMED_HEADER"))
        if self._mask is not None and self._resource is not None:
            if (given := message[self._mask]) is not None:
                given.paths = [declared_path(path, _message_of(self._resource)) for path in given.paths]
            else:
                self._fill_mask(message, _member(document, self._resource) if self._whole_body else document)

    def _fill_etag(self, message: Message, headers: Mapping[bytes, bytes], problems: Problems) -> None:
        if IF_NONE_MATCH in headers and self._has_effects:
            # Whoever wants to make what is not there yet must not overwrite what is (RFC 9110, section 13.1.2).
            wrong = InvalidValue(
                "can't be honoured: the service is not told what must not be there", "HEADER_NOT_SUPPORTED"
            )
            problems.add("If-None-Match", wrong)
        try:
            versions = named_versions(headers.get(IF_MATCH, ANY))
        except ValueError as error:
            problems.add("If-Match", InvalidValue(str(error), "MALFORMED_HEADER"))
            return
        if versions and self._etag is None:
            problems.add(
                "If-Match", InvalidValue("can't be honoured: this method takes no etag", "HEADER_NOT_SUPPORTED")
            )
        elif len(versions) > 1:
            problems.add("If-Match", InvalidValue("must name one version: this method streams", "HEADER_NOT_SUPPORTED"))
        elif versions and self._etag is not None:
            self._put(message, self._etag, next(iter(versions)), "If-Match", problems)

    def _put(
        self, message: Message, fields: tuple[DescField, ...], value: str, header: str, problems: Problems
    ) -> None:
        given = value_at(message, fields)
        if given is not None and given != value:
            problems.add(json_path(fields), InvalidValue(f"is not what the header {header} says", "FIELD_GIVEN_TWICE"))
            return
        try:
            assign(descend(message, fields), fields[-1], value)
        except InvalidValue as wrong:
            problems.add(header, wrong)

    def _fill_mask(self, message: Message, resource: Any) -> None:
        if isinstance(resource, dict) and self._mask is not None and self._resource is not None:
            mask, kind = _message_of(self._mask), _message_of(self._resource)
            paths = list(dict.fromkeys(self._paths(kind, resource)))
            message[self._mask] = mask.type(paths=paths)

    def _paths(self, kind: DescMessage, given: dict[str, Any]) -> Iterator[str]:
        """The fields that an object gives, nested ones as paths. What a client sends back unchanged, because it can't
        change it, is no change: the etag, the name, and what only the service sets (AIP-203).
        """
        for key, value in given.items():
            field = find(kind, key)
            if field is None or field.name == "etag" or field in self._in_path or _is_kept(field):
                continue
            inner = field.value.message if isinstance(field.value, DescFieldValueMessage) else None
            if inner is not None and isinstance(value, dict) and value and _has_fields(inner):
                yield from (f"{field.name}.{path}" for path in self._paths(inner, value))
            else:
                yield field.name


def _idempotency_key(header: bytes) -> str:
    """The key of the header, which its draft has in quotes and most clients send without."""
    text = header.decode("latin-1").strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _text_field(message: DescMessage, name: str) -> DescField | None:
    field = declared(message, name)
    is_text = (
        field is not None and isinstance(field.value, DescFieldValueScalar) and field.value.scalar is ScalarType.STRING
    )
    return field if is_text else None


def _etag(request: DescMessage, route: Route) -> tuple[DescField, ...] | None:
    """Where the etag goes: beside the resource, or else in the resource that the body replaces or updates."""
    if (field := _text_field(request, "etag")) is not None:
        return (field,)
    body = route.body if route.http_method in ("PATCH", "PUT") else None
    if body is not None and isinstance(body.value, DescFieldValueMessage):
        field = _text_field(body.value.message, "etag")
        return (body, field) if field is not None else None
    return None


def _mask_field(request: DescMessage) -> DescField | None:
    field = declared(request, "update_mask")
    is_mask = (
        field is not None
        and isinstance(field.value, DescFieldValueMessage)
        and field.value.message.type_name == FIELD_MASK
    )
    return field if is_mask else None


def _resource(route: Route) -> DescField | None:
    """The field that holds the resource to update: the body, or with the body `*` the one that the path names, or the
    only one that can be it.
    """
    if not route.whole_body:
        return route.body if route.body is not None and isinstance(route.body.value, DescFieldValueMessage) else None
    if named := [fields[0] for fields in route.variables if len(fields) > 1]:
        return named[0]
    candidates = [
        field
        for field in route.method.desc.input.fields
        if isinstance(field.value, DescFieldValueMessage) and _has_fields(field.value.message)
    ]
    return candidates[0] if len(candidates) == 1 else None


def _has_fields(message: DescMessage) -> bool:
    """Whether a mask may name the fields of this message one by one. Google's common types are values: an amount of
    money whose units alone are replaced is wrong.
    """
    return text_leaf(message) is None and not message.type_name.startswith(("google.protobuf.", "google.type."))


def _is_kept(field: DescField) -> bool:
    options = field.proto.options
    if options is None or ext_field_behavior not in options:
        return False
    behaviors: list[FieldBehavior] = options[ext_field_behavior]
    return not _KEPT.isdisjoint(behaviors)


def _member(document: Any, field: DescField) -> Any:
    """Returns the value that a parsed body gives to a field of the request, None if it gives none."""
    if not isinstance(document, dict):
        return None
    return next((value for key, value in document.items() if find(field.parent, key) is field), None)


def _message_of(field: DescField) -> DescMessage:
    assert isinstance(field.value, DescFieldValueMessage), "checked when the route was made"
    return field.value.message
