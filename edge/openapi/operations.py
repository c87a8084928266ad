"""The operations of OpenAPI that a contract's routes are."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from googleapis.google.api.field_behavior_pb import FieldBehavior
from protobuf import (
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescMessage,
)

from edge.body import HTTP_BODY
from edge.contract import Route
from edge.implied import Implied
from edge.openapi.comments import Comments
from edge.openapi.constraints import Schema
from edge.openapi.paths import PathPattern
from edge.openapi.schemas import Schemas, behaviors
from edge.path_template import REST
from edge.protojson.leaves import text_leaf
from edge.request import FORM, JSON

PARAMETER_DEPTH_MAX: Final = 4
BEARER: Final = "bearer"

_SENTENCE_END = re.compile(r"\.(?:\s|$)")


class Operations:
    """Makes operations, and collects the schemas that they need."""

    def __init__(self, schemas: Schemas, comments: Comments, tags: Mapping[str, str], *, secured: bool) -> None:
        """`tags` are those of the services; `secured` says that the edge verifies tokens."""
        self._schemas = schemas
        self._tags = tags
        self._comments = comments
        self._secured = secured
        self._ids: dict[str, int] = {}

    def make(self, route: Route, path: PathPattern) -> dict[str, Any]:
        """The Operation Object of a route."""
        method = route.method
        comment = self._comments.of(method.name)
        summary = _SENTENCE_END.split(" ".join(comment.split()), maxsplit=1)[0] or method.desc.name
        operation: dict[str, Any] = {
            "operationId": self._id(route),
            "tags": [self._tags[method.service]],
            "summary": summary,
            "parameters": [*self._path_parameters(route, path), *self._query_parameters(route), *_headers(route)],
            "responses": self._responses(route),
        }
        if comment.rstrip(".") != summary:
            operation["description"] = comment
        if (body := self._body(route)) is not None:
            operation["requestBody"] = body
        if self._secured:
            operation["security"] = [] if method.policy.public else [{BEARER: sorted(method.policy.scopes)}]
        if method.desc.deprecated:
            operation["deprecated"] = True
        return operation

    def _id(self, route: Route) -> str:
        """The RPC's name; a rule's additional bindings count on."""
        name = f"{route.method.desc.parent.name}_{route.method.desc.name}"
        count = self._ids[name] = self._ids.get(name, 0) + 1
        return name if count == 1 else f"{name}_{count}"

    def _path_parameters(self, route: Route, path: PathPattern) -> Iterator[dict[str, Any]]:
        for name, variable in path.parameters:
            if variable is None:
                yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                continue
            field = route.variables[variable][-1]
            of = route.template.variables[variable]
            schema = self._schemas.field(field)
            notes = [schema.pop("description", "")]
            schema.pop("readOnly", None)
            if of.end - of.start > 1:
                schema, notes = {"type": "string"}, [f"A part of `{field.json_name}`."]
            if REST in route.template.segments[of.start : of.end]:
                notes.append("May hold slashes.")
            description = " ".join(filter(None, notes))
            yield {"name": name, "in": "path", "required": True, "description": description, "schema": schema}

    def _query_parameters(self, route: Route) -> Iterator[dict[str, Any]]:
        if not route.whole_body:
            bound = {*route.variables, (route.body,)}
            yield from self._parameters(route.method.desc.input, (), bound)

    def _parameters(
        self, message: DescMessage, inside: tuple[DescField, ...], bound: set[tuple[DescField | None, ...]]
    ) -> Iterator[dict[str, Any]]:
        for field in message.fields:
            fields = (*inside, field)
            if fields in bound or FieldBehavior.OUTPUT_ONLY in behaviors(field):
                continue
            if _is_leaf(field):
                yield self._parameter(fields)
            elif isinstance(field.value, DescFieldValueMessage) and _may_descend(field.value.message, fields):
                yield from self._parameters(field.value.message, fields, bound)

    def _parameter(self, fields: tuple[DescField, ...]) -> dict[str, Any]:
        schema = self._schemas.field(fields[-1])
        parameter: dict[str, Any] = {"name": ".".join(field.json_name for field in fields), "in": "query"}
        if description := schema.pop("description", ""):
            parameter["description"] = description
        if len(fields) == 1 and FieldBehavior.REQUIRED in behaviors(fields[0]):
            parameter["required"] = True
        if isinstance(fields[-1].value, DescFieldValueMap):
            parameter |= {"style": "deepObject", "explode": True}
        return {**parameter, "schema": schema}

    def _body(self, route: Route) -> dict[str, Any] | None:
        if route.whole_body:
            request = route.method.desc.input
            if request.type_name == HTTP_BODY:
                return _raw_body()
            in_path = [fields[0] for fields in route.variables if len(fields) == 1]
            schema = self._schemas.object(request, without=in_path) if in_path else self._schemas.message(request)
            return {"content": {JSON: {"schema": schema}, FORM: {"schema": schema}}, "required": "required" in schema}
        if route.body is None:
            return None
        value = route.body.value
        if isinstance(value, DescFieldValueMessage) and value.message.type_name == HTTP_BODY:
            return _raw_body()
        if isinstance(value, DescFieldValueMessage) and route.http_method == "PATCH":
            schema = self._schemas.update(value.message)
        else:
            schema = self._schemas.field(route.body)
        return {"content": {JSON: {"schema": schema}}, "required": True}

    def _responses(self, route: Route) -> dict[str, Any]:
        policy = route.method.policy
        responses: dict[str, Any] = {str(policy.http_status): self._success(route)}
        if route.http_method == "GET" and any(field.name == "etag" for field in route.method.desc.output.fields):
            responses["304"] = {"description": "Not changed since the version that If-None-Match names."}
        statuses = ["400", "404", "503", "504"]
        if self._secured and not policy.public:
            statuses += ["401", "403"]
        if policy.rate_limit is not None:
            statuses.append("429")
        for status in sorted(statuses):
            responses[status] = {"$ref": f"#/components/responses/{status}"}
        responses["default"] = {"$ref": "#/components/responses/default"}
        return responses

    def _success(self, route: Route) -> dict[str, Any]:
        output = route.method.desc.output
        schema: Schema = self._schemas.message(output)
        if route.response_body is not None:
            schema = self._schemas.field(route.response_body)
        if HTTP_BODY in (output.type_name, _type_name(route.response_body)):
            return {"description": "Success.", "content": {"*/*": {}}}
        description = self._comments.of(output.type_name) or "Success."
        return {"description": description, "content": {JSON: {"schema": schema}}}


def _type_name(field: DescField | None) -> str:
    return field.value.message.type_name if field is not None and isinstance(field.value, DescFieldValueMessage) else ""


def _raw_body() -> dict[str, Any]:
    return {"content": {"*/*": {}}, "required": True}


def _may_descend(message: DescMessage, fields: tuple[DescField, ...]) -> bool:
    """Whether the documentation goes on into a nested message: not for ever into one that holds itself."""
    is_new = all(outer.parent.type_name != message.type_name for outer in fields)
    return is_new and len(fields) < PARAMETER_DEPTH_MAX


def _is_leaf(field: DescField) -> bool:
    """Whether a query parameter can give this field."""
    match field.value:
        case (
            DescFieldValueMessage(message=DescMessage() as message)
            | DescFieldValueList(element=DescMessage() as message)
            | DescFieldValueMap(value=DescMessage() as message)
        ):
            return text_leaf(message) is not None
    return True


def _headers(route: Route) -> Iterator[dict[str, Any]]:
    implied = Implied(route)
    if implied.takes_request_id:
        yield _header("Idempotency-Key", "The `requestId`: the same one again gets the first answer again.")
    if implied.takes_etag:
        yield _header("If-Match", "The ETag of the version that this change is about.")


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}
