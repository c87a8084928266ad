"""The Parameter Objects of a route: of its path, its query and its headers."""

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

from edge.contract import Route
from edge.fields import declared
from edge.implied import Implied
from edge.openapi.paths import PathPattern
from edge.openapi.schemas import Schemas, Use, behaviors
from edge.openapi.values import Schema
from edge.path_template import REST
from edge.protojson.leaves import text_leaf
from edge.request import JSON
from edge.resume_token import ResumeToken
from edge.spelling import json_path
from mesh.descriptors import inner_message

PARAMETER_DEPTH_MAX: Final = 4

_JSON_TYPES: Final = frozenset(f"google.protobuf.{name}" for name in ("Any", "ListValue", "Struct", "Value"))
SHARED: Final[dict[str, Any]] = {
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "description": "The ETag of the version that this change is about; with another one it is not made.",
        "schema": {"type": "string", "pattern": '^"[!#-~]*"$', "examples": ['"1"']},
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETags of versions that the caller has: the answer is 304 if one is the current one.",
        "schema": {"type": "string"},
    },
    "Last-Event-ID": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The id of the last event that arrived: the stream goes on after it.",
        "schema": {"type": "string"},
    },
    "X-Server-Timeout": {
        "name": "X-Server-Timeout",
        "in": "header",
        "description": "After how many seconds the caller gives up. It shortens the method's own timeout.",
        "schema": {
            "type": "string",
            "pattern": r"^(0\.[1-9][0-9]{0,8}|[1-9][0-9]{0,8}(\.[0-9]{1,9})?)$",
            "examples": ["1.5"],
        },
    },
}
"""The parameters that are the same wherever they are, by their names in the components."""


class Parameters:
    """Makes the parameters of routes."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def of(self, route: Route, path: PathPattern) -> list[dict[str, Any]]:
        """All parameters of a route."""
        query = () if route.whole_body else self.query(route, without=(route.body,) if route.body else ())
        return [*self._path(route, path), *query, *self._headers(route)]

    def form(self, route: Route) -> Schema | None:
        """The schema of the body `*` as a form, None if it would say less than JSON: each field must be a leaf."""
        message = route.method.desc.input
        if not all(_is_leaf(field) and not isinstance(field.value, DescFieldValueMap) for field in message.fields):
            return None
        parameters = list(self.query(route))
        if any("content" in parameter for parameter in parameters):
            return None
        schema: Schema = {
            "type": "object",
            "properties": {
                each["name"]: each["schema"] | ({"description": each["description"]} if "description" in each else {})
                for each in parameters
            },
            "additionalProperties": False,
        }
        if required := [each["name"] for each in parameters if each.get("required")]:
            schema["required"] = required
        self._schemas.note_oneofs(schema, message, Use.INPUT, without={fields[0] for fields in route.variables})
        return schema

    def query(self, route: Route, *, without: tuple[DescField, ...] = ()) -> Iterator[dict[str, Any]]:
        """A parameter for each leaf of the request that the path does not hold, nor a field that is `without`."""
        bound = {json_path(fields) for fields in route.variables} | {field.json_name for field in without}
        yield from self._leaves(route.method.desc.input, (), bound)

    def _leaves(self, message: DescMessage, around: tuple[DescField, ...], bound: set[str]) -> Iterator[dict[str, Any]]:
        demanded = self._schemas.demanded(message)
        is_given = not around or any(each.startswith(f"{json_path(around)}.") for each in bound)
        for field in message.fields:
            fields = (*around, field)
            path = json_path(fields)
            if path in bound or FieldBehavior.OUTPUT_ONLY in behaviors(field):
                continue
            holds_bound = any(each.startswith(f"{path}.") for each in bound)
            if _is_leaf(field) and not holds_bound:
                is_required = field.name in demanded or FieldBehavior.REQUIRED in behaviors(field)
                yield self._leaf(fields, is_required=is_required, is_given=is_given)
            elif isinstance(field.value, DescFieldValueMessage) and _may_descend(field.value.message, fields):
                yield from self._leaves(field.value.message, fields, bound)

    def _leaf(self, fields: tuple[DescField, ...], *, is_required: bool, is_given: bool) -> dict[str, Any]:
        """`is_required` says that the message around the leaf is wrong without it, `is_given` that there is one."""
        field = fields[-1]
        schema = self._schemas.parameter(field)
        parameter: dict[str, Any] = {"name": json_path(fields), "in": "query"}
        notes = [schema.pop("description", ""), *map(_excluded, fields)]
        if is_required and not is_given:
            notes.append(f"Required if another parameter of `{json_path(fields[:-1])}` is given.")
        if description := "\n\n".join(filter(None, notes)):
            parameter["description"] = description
        if is_required and is_given:
            parameter["required"] = True
        if schema.pop("deprecated", False):
            parameter["deprecated"] = True
        if isinstance(field.value, DescFieldValueMessage) and field.value.message.type_name in _JSON_TYPES:
            return parameter | {"content": {JSON: {"schema": schema}}}
        if isinstance(field.value, DescFieldValueMap):
            parameter |= {"style": "deepObject", "explode": True}
        return {**parameter, "schema": schema}

    def _path(self, route: Route, path: PathPattern) -> Iterator[dict[str, Any]]:
        for name, variable in path.parameters:
            parameter: dict[str, Any] = {"name": name, "in": "path", "required": True}
            schema: Schema = {"type": "string", "minLength": 1}
            if variable is None:
                yield parameter | {"schema": schema}
                continue
            fields = route.variables[variable]
            of = route.template.variables[variable]
            holds_slashes = REST in route.template.segments[of.start : of.end]
            if of.end - of.start > 1:
                notes = [f"A part of `{json_path(fields)}`."]
            else:
                schema = self._schemas.parameter(fields[-1])
                notes = [schema.pop("description", "")]
                if schema.get("type") == "string":
                    schema["minLength"] = max(1, schema.get("minLength", 0))
            if holds_slashes:
                notes.append("May hold slashes.")
            if schema.pop("deprecated", False):
                parameter["deprecated"] = True
            if description := " ".join(filter(None, notes)):
                parameter["description"] = description
            yield parameter | {"schema": schema}

    def _headers(self, route: Route) -> Iterator[dict[str, Any]]:
        implied = Implied(route)
        if implied.takes_request_id and (field := declared(route.method.desc.input, "request_id")) is not None:
            schema = self._schemas.parameter(field)
            schema.pop("description", None)
            text = "The `requestId`: the same one again gets the first answer again."
            yield {"name": "Idempotency-Key", "in": "header", "description": text, "schema": schema}
        names = ["X-Server-Timeout"]
        if route.method.desc.method_kind == "server_streaming" and ResumeToken.of(route.method.desc.input) is not None:
            names.insert(0, "Last-Event-ID")
        if implied.takes_etag:
            names.insert(0, "If-Match")
        if route.http_method == "GET" and route.method.desc.method_kind == "unary":
            names.insert(0, "If-None-Match")
        yield from ({"$ref": f"#/components/parameters/{name}"} for name in names)


def _excluded(field: DescField) -> str:
    """What a member of a oneof excludes."""
    if isinstance(field.value, DescFieldValueList | DescFieldValueMap) or field.value.oneof is None:
        return ""
    others = [f"`{each.json_name}`" for each in field.value.oneof.fields if each is not field]
    return f"Not together with {', '.join(others)}." if others else ""


def _may_descend(message: DescMessage, fields: tuple[DescField, ...]) -> bool:
    """Whether the documentation goes on into a nested message: not for ever into one that holds itself."""
    is_new = all(outer.parent.type_name != message.type_name for outer in fields)
    return is_new and len(fields) < PARAMETER_DEPTH_MAX


def _is_leaf(field: DescField) -> bool:
    """Whether a query parameter can give this field as a whole."""
    message = inner_message(field)
    return message is None or text_leaf(message) is not None or message.type_name in _JSON_TYPES
