"""The Parameter Objects of routes: those of the path, the query and the headers."""

from collections.abc import Iterator
from typing import Any, Final

from googleapis.google.api.field_behavior_pb import FieldBehavior
from protobuf import (
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescMessage,
)

from edge.bind.header_fields import HeaderFields
from edge.contract.resume_token import ResumeToken
from edge.contract.route import Route
from edge.http.request import JSON
from edge.httprule.template import REST
from edge.openapi.path_segments import schema_of_segment, sentences_of
from edge.openapi.paths import PathPattern
from edge.openapi.schemas.field_behavior import behaviors
from edge.openapi.schemas.message_schemas import MessageSchemas
from edge.openapi.schemas.oneofs import excluded_by, is_required
from edge.openapi.schemas.well_known_schemas import is_scalar, well_known_schema
from edge.protojson.client_paths import json_path
from edge.protojson.fields import find_by_proto_name
from edge.protojson.leaf_readers import text_leaf
from mesh.contract.descriptors import inner_message
from mesh.contract.rules import message_rules

PARAMETER_DEPTH_MAX: Final = 4

_SEGMENTS: Final = (
    "One or more segments. OpenAPI has no parameters of several segments: clients generated from this document send a "
    "slash as `%2F`, and the service receives it so."
)

_JSON_TYPES: Final = frozenset(f"google.protobuf.{name}" for name in ("Any", "ListValue", "Struct", "Value"))
_VALUE: Final = "google.protobuf.Value"
SHARED: Final[dict[str, Any]] = {
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "description": "The ETag of the version to change. The change is rejected if the resource has another one.",
        "schema": {"type": "string", "pattern": '^"[!#-~]*"$', "examples": ['"1"']},
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETags of the versions that the caller has; the response is 304 if one of them is current.",
        "schema": {"type": "string"},
    },
    "Last-Event-ID": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The id of the last event that was received; the stream resumes after it.",
        "schema": {"type": "string"},
    },
    "X-Server-Timeout": {
        "name": "X-Server-Timeout",
        "in": "header",
        "description": "The timeout of the caller in seconds. It can only shorten the method's own timeout.",
        "schema": {
            "type": "string",
            "pattern": r"^(0\.[1-9][0-9]{0,8}|[1-9][0-9]{0,8}(\.[0-9]{1,9})?)$",
            "examples": ["1.5"],
        },
    },
}
"""The parameters that are the same in all operations, by their names in the components."""


class Parameters:
    """The parameters of a document's operations."""

    def __init__(self, schemas: MessageSchemas) -> None:
        self._schemas = schemas
        self._requirements = schemas.requirements

    def of(self, route: Route, path: PathPattern) -> list[dict[str, Any]]:
        """Returns the parameters of a route."""
        query = () if route.whole_body else self.query(route, without=(route.body,) if route.body else ())
        return [*self._path(route, path), *query, *self._headers(route)]

    def query(self, route: Route, *, without: tuple[DescField, ...] = ()) -> Iterator[dict[str, Any]]:
        """Yields a parameter for each leaf of the request, except those in the path and in the fields `without`."""
        bound = {json_path(fields) for fields in route.variables} | {field.json_name for field in without}
        for fields in route.variables:
            for depth, field in enumerate(fields):
                bound |= {json_path((*fields[:depth], other)) for other in excluded_by((field,))}
        yield from self._leaves(route.method.desc.input, (), bound)

    def _leaves(self, message: DescMessage, around: tuple[DescField, ...], bound: set[str]) -> Iterator[dict[str, Any]]:
        required_by_rules = self._requirements.by_rules(message)
        is_given = not around or any(each.startswith(f"{json_path(around)}.") for each in bound)
        for field in message.fields:
            fields = (*around, field)
            path = json_path(fields)
            if path in bound or FieldBehavior.OUTPUT_ONLY in behaviors(field):
                continue
            holds_bound = any(each.startswith(f"{path}.") for each in bound)
            if _is_leaf(field) and not holds_bound:
                is_required = field.name in required_by_rules or FieldBehavior.REQUIRED in behaviors(field)
                yield self._leaf(fields, is_required=is_required, is_given=is_given)
            elif isinstance(field.value, DescFieldValueMessage) and _may_descend(field.value.message, fields):
                yield from self._leaves(field.value.message, fields, bound)

    def _leaf(self, fields: tuple[DescField, ...], *, is_required: bool, is_given: bool) -> dict[str, Any]:
        """Returns the parameter of a leaf. `is_required` says that the message around it must have it, `is_given` that
        every request has this message.
        """
        field = fields[-1]
        schema = self._schemas.parameter(field)
        parameter: dict[str, Any] = {"name": json_path(fields), "in": "query"}
        notes = [schema.pop("description", ""), *map(_excludes, fields), *_excludes_by_rule(field)]
        if is_required and not is_given:
            notes.append(f"Required if another parameter of `{json_path(fields[:-1])}` is given.")
        if description := "\n\n".join(filter(None, notes)):
            parameter["description"] = description
        if is_required and is_given:
            parameter["required"] = True
        if schema.pop("deprecated", False):
            parameter["deprecated"] = True
        if isinstance(field.value, DescFieldValueMessage) and _is_json(field):
            return parameter | {"content": {JSON: {"schema": schema}}}
        if isinstance(field.value, DescFieldValueMap):
            parameter |= {"style": "deepObject", "explode": True}
        return {**parameter, "schema": schema}

    def _path(self, route: Route, path: PathPattern) -> Iterator[dict[str, Any]]:
        for name, variable, part in path.parameters:
            parameter: dict[str, Any] = {"name": name, "in": "path", "required": True}
            if variable is None:
                yield parameter | {"schema": {"type": "string", "minLength": 1}}
                continue
            fields = route.variables[variable]
            of = route.template.variables[variable]
            segments = route.template.segments[of.start : of.end]
            schema = self._schemas.parameter(fields[-1])
            notes = [schema.pop("description", "")]
            if schema.pop("deprecated", False):
                parameter["deprecated"] = True
            if len(segments) > 1:
                notes = [f"A part of `{json_path(fields)}`.", *notes, *sentences_of(schema)]
                schema = schema_of_segment(schema, segments, route.template.literal[of.start : of.end], part)
            elif schema.get("type") == "string" and "format" not in schema:
                schema["minLength"] = max(1, schema.get("minLength", 0))
            if segments[part] == REST:
                notes.append(_SEGMENTS)
            if description := " ".join(filter(None, notes)):
                parameter["description"] = description
            yield parameter | {"schema": schema}

    def _headers(self, route: Route) -> Iterator[dict[str, Any]]:
        header_fields = HeaderFields(route)
        field = find_by_proto_name(route.method.desc.input, "request_id") if header_fields.takes_request_id else None
        if field is not None and not any(fields[0] is field for fields in route.variables):
            schema = self._schemas.parameter(field)
            about = schema.pop("description", "")
            text = f"Another way to set `{field.json_name}`."
            header = {"name": "Idempotency-Key", "in": "header", "description": f"{text} {about}".strip()}
            yield header | {"schema": schema}
        names = ["X-Server-Timeout"]
        if route.method.desc.method_kind == "server_streaming" and ResumeToken.of(route.method.desc.input) is not None:
            names.insert(0, "Last-Event-ID")
        if header_fields.takes_etag:
            names.insert(0, "If-Match")
        if route.http_method == "GET" and route.method.desc.method_kind == "unary":
            names.insert(0, "If-None-Match")
        yield from ({"$ref": f"#/components/parameters/{name}"} for name in names)


def _excludes(field: DescField) -> str:
    """Returns a sentence that names the other members of a field's oneof, or ""."""
    excluded = excluded_by((field,))
    others = [f"`{each.json_name}`" for each in field.parent.fields if each in excluded]
    if not others:
        return ""
    assert not isinstance(field.value, DescFieldValueList | DescFieldValueMap), "no oneof has such a member"
    oneof = field.value.oneof
    demand = " One of them is required." if oneof is not None and is_required(oneof) else ""
    return f"Not together with {', '.join(others)}.{demand}"


def _excludes_by_rule(field: DescField) -> Iterator[str]:
    """Yields a sentence for each rule of the message that excludes other fields beside this one."""
    rules = message_rules(field.parent)
    for rule in rules.oneof if rules is not None else ():
        if field.name in rule.fields:
            others = [each.json_name for each in field.parent.fields if each.name in rule.fields and each is not field]
            demand = " One of them is required." if rule.required else ""
            yield f"Not together with {', '.join(f'`{name}`' for name in others)}.{demand}"


def _may_descend(message: DescMessage, fields: tuple[DescField, ...]) -> bool:
    """Returns whether the fields of a nested message are parameters too. A message that contains itself is not expanded
    again.
    """
    is_new = all(outer.parent.type_name != message.type_name for outer in fields)
    return is_new and len(fields) < PARAMETER_DEPTH_MAX


def can_be_form(message: DescMessage) -> bool:
    """Returns whether a form can hold all of a message: each field must be a leaf whose text is not JSON itself."""
    if not message.fields or (well_known_schema(message) is not None and not is_scalar(message)):
        return False
    return all(
        _is_leaf(field) and not isinstance(field.value, DescFieldValueMap) and not _is_json(field)
        for field in message.fields
    )


def _is_json(field: DescField) -> bool:
    """Returns whether the text of a query parameter is JSON."""
    message = inner_message(field)
    return message is not None and message.type_name in _JSON_TYPES


def _is_leaf(field: DescField) -> bool:
    """Returns whether one query parameter can hold the whole field. OpenAPI can't describe a repeated parameter whose
    values are JSON.
    """
    message = inner_message(field)
    if message is None or text_leaf(message) is not None:
        return True
    return _is_json(field) and (isinstance(field.value, DescFieldValueMessage) or message.type_name == _VALUE)
