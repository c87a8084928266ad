"""Fields that are filled in from headers, and an update mask from the body: the request id (AIP-155), the etag
(AIP-154), the resume token (the Last-Event-ID of server-sent events), the mask (AIP-134). Given masks, also those of
reads (AIP-157), get the names of the contract.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from googleapis.google.api.field_behavior_pb import FieldBehavior, ext_field_behavior
from protobuf import DescField, DescFieldValueMessage, DescMessage, Message

from edge.bind.update_mask import declared_path, declared_path_in_any, read_resources
from edge.contract.resume_token import LAST_EVENT_ID, ResumeToken
from edge.contract.route import Route
from edge.http.entity_tags import ANY
from edge.http.preconditions import IF_MATCH, IF_NONE_MATCH, parse_if_match
from edge.protojson.client_paths import json_path, proto_path
from edge.protojson.fields import assign, descend, find_field, find_text_field, is_read_mask, is_update_mask, value_at
from edge.protojson.leaf_readers import text_leaf
from edge.protojson.readers import DEPTH_MAX
from edge.protojson.violations import InvalidValue, Violations

IDEMPOTENCY_KEY: Final = b"idempotency-key"

_NOT_UPDATABLE: Final = frozenset({FieldBehavior.OUTPUT_ONLY, FieldBehavior.IDENTIFIER})


class HeaderFields:
    """The fields that one route's requests have from their headers, and the update mask."""

    def __init__(self, route: Route, depth_max: int = DEPTH_MAX) -> None:
        """`depth_max` is how deep a body may be nested."""
        request = route.method.desc.input
        self._depth_max = depth_max
        self._request_id = find_text_field(request, "request_id")
        self._etag = _etag(request, route)
        self._resume_token = ResumeToken.of(request) if route.method.streams else None
        self._is_write = route.http_method not in ("GET", "HEAD")
        self._has_effects = route.method.has_effects
        mask = next(filter(is_update_mask, request.fields), None)
        self._mask = mask if route.http_method == "PATCH" else None
        self._read_mask = next(filter(is_read_mask, request.fields), None)
        self._read_resources = read_resources(route.method.desc.output)
        self._whole_body = route.whole_body
        self._resource = _resource(route) if self._mask is not None else None
        self._in_path = frozenset(fields[1:] for fields in route.variables if fields[0] is self._resource)

    @property
    def takes_request_id(self) -> bool:
        """Returns whether the header Idempotency-Key sets a field."""
        return self._request_id is not None

    @property
    def takes_etag(self) -> bool:
        """Returns whether the header If-Match sets a field."""
        return self._etag is not None and self._is_write

    def fill(self, message: Message, headers: Mapping[bytes, bytes], document: Any, violations: Violations) -> None:
        """Sets the fields that the request itself does not. `document` is the parsed body."""
        if self._request_id is not None and (key := headers.get(IDEMPOTENCY_KEY)) is not None:
            self._set(message, (self._request_id,), _idempotency_key(key), "Idempotency-Key", violations)
        if self._is_write:
            self._fill_etag(message, headers, violations)
        if self._resume_token is not None and (event_id := headers.get(LAST_EVENT_ID)):
            try:
                self._resume_token.fill(message, event_id)
            except UnicodeDecodeError:
                violations.add("Last-Event-ID", InvalidValue("is not the id of an event", "MALFORMED_HEADER"))
        if self._read_mask is not None and (read := message[self._read_mask]) is not None:
            read.paths = [declared_path_in_any(path, self._read_resources) for path in read.paths]
        if self._mask is not None and self._resource is not None:
            if (given := message[self._mask]) is not None:
                given.paths = [declared_path(path, _message_of(self._resource)) for path in given.paths]
            else:
                self._fill_mask(message, _member(document, self._resource) if self._whole_body else document)

    def _fill_etag(self, message: Message, headers: Mapping[bytes, bytes], violations: Violations) -> None:
        if IF_NONE_MATCH in headers and self._has_effects:
            # A client that wants to create a resource must not overwrite one that exists (RFC 9110, section 13.1.2).
            wrong = InvalidValue(
                "is not supported: this method can't check that the resource does not exist", "HEADER_NOT_SUPPORTED"
            )
            violations.add("If-None-Match", wrong)
        try:
            versions = parse_if_match(headers.get(IF_MATCH, ANY))
        except ValueError as error:
            violations.add("If-Match", InvalidValue(str(error), "MALFORMED_HEADER"))
            return
        if versions and self._etag is None:
            violations.add(
                "If-Match", InvalidValue("is not supported: this method takes no etag", "HEADER_NOT_SUPPORTED")
            )
        elif len(versions) > 1:
            violations.add(
                "If-Match",
                InvalidValue("must name one version only, because this method streams", "HEADER_NOT_SUPPORTED"),
            )
        elif versions and self._etag is not None:
            self._set(message, self._etag, next(iter(versions)), "If-Match", violations)

    def _set(
        self, message: Message, fields: tuple[DescField, ...], value: str, header: str, violations: Violations
    ) -> None:
        given = value_at(message, fields)
        if given is not None and given != value:
            violations.add(json_path(fields), InvalidValue(f"differs from the header {header}", "FIELD_GIVEN_TWICE"))
            return
        try:
            assign(descend(message, fields), fields[-1], value)
        except InvalidValue as wrong:
            violations.add(header, wrong)

    def _fill_mask(self, message: Message, resource: Any) -> None:
        if isinstance(resource, dict) and self._mask is not None and self._resource is not None:
            paths = list(dict.fromkeys(self._paths(_message_of(self._resource), resource)))
            message[self._mask] = _message_of(self._mask).type(paths=paths)

    def _paths(self, message: DescMessage, given: dict[str, Any], around: tuple[DescField, ...] = ()) -> Iterator[str]:
        """Yields the paths of the fields that an object holds, which is in the fields `around` of the resource. The
        etag, the name, and fields that only the service sets (AIP-203) are left out: clients send them back with the
        resource but can't change them. A body that is nested too deeply has been rejected when it was read, and must
        not exhaust the stack here.
        """
        for key, value in given.items():
            field = find_field(message, key)
            if field is None or field.name == "etag" or _is_not_updatable(field):
                continue
            fields = (*around, field)
            if fields in self._in_path:  # only there: a message may be inside another of its type
                continue
            inner = field.value.message if isinstance(field.value, DescFieldValueMessage) else None
            is_object = isinstance(value, dict) and value and len(fields) < self._depth_max
            if inner is not None and is_object and _has_fields(inner):
                yield from self._paths(inner, value, fields)
            else:
                yield proto_path(fields)


def _idempotency_key(header: bytes) -> str:
    """Returns the key in the header. Its draft demands quotes; most clients send none."""
    text = header.decode("latin-1").strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _etag(request: DescMessage, route: Route) -> tuple[DescField, ...] | None:
    """Returns the path of the etag: beside the resource, otherwise in the resource that the body replaces or updates.
    None if the request has no etag.
    """
    if (field := find_text_field(request, "etag")) is not None:
        return (field,)
    body = route.body if route.http_method in ("PATCH", "PUT") else None
    if body is not None and isinstance(body.value, DescFieldValueMessage):
        field = find_text_field(body.value.message, "etag")
        return (body, field) if field is not None else None
    return None


def _resource(route: Route) -> DescField | None:
    """Returns the field that holds the resource to update: the body, or with the body `*` the one that the path names,
    or else the only candidate. None if there is no such field.
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
    """Returns whether a mask may name single fields of this message. Google's common types are updated as a whole: to
    replace only the units of an amount of money would make it wrong.
    """
    return text_leaf(message) is None and not message.type_name.startswith(("google.protobuf.", "google.type."))


def _is_not_updatable(field: DescField) -> bool:
    options = field.proto.options
    if options is None or ext_field_behavior not in options:
        return False
    behaviors: list[FieldBehavior] = options[ext_field_behavior]
    return not _NOT_UPDATABLE.isdisjoint(behaviors)


def _member(document: Any, field: DescField) -> Any:
    """Returns the value of a field in a parsed body, None if the body does not hold it."""
    if not isinstance(document, dict):
        return None
    return next((value for key, value in document.items() if find_field(field.parent, key) is field), None)


def _message_of(field: DescField) -> DescMessage:
    assert isinstance(field.value, DescFieldValueMessage), "checked when the route was made"
    return field.value.message
