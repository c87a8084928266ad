"""Operations: what one route takes and answers."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from googleapis.google.api.field_behavior_pb import FieldBehavior
from protobuf import (
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
    ScalarType,
)

from edge.contract import Method, Route
from edge.openapi.comments import Comments, first_sentence
from edge.openapi.constraints import Schema
from edge.openapi.paths import OpenApiPath, PathParameter
from edge.openapi.schemas import Schemas, behaviors, must_be_given
from edge.protojson.leaves import text_leaf

HTTP_BODY: Final = "google.api.HttpBody"
DEPTH_MAX: Final = 5  # of query parameters: a message that contains itself has fields without end
FORM: Final = "application/x-www-form-urlencoded"

Operation = dict[str, Any]

_RAW: Final[Operation] = {"*/*": {"schema": {"type": "string", "format": "binary"}}}

_ERROR: Final[Schema] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "status"],
            "properties": {
                "code": {"type": "integer", "description": "The HTTP status."},
                "message": {"type": "string", "description": "What is wrong, for people."},
                "status": {"type": "string", "description": "The gRPC status code.", "examples": ["NOT_FOUND"]},
                "details": {
                    "type": "array",
                    "description": "More for programs: google.rpc.ErrorInfo, BadRequest, RetryInfo and others.",
                    "items": {
                        "type": "object",
                        "required": ["@type"],
                        "properties": {"@type": {"type": "string"}},
                        "additionalProperties": True,
                    },
                },
            },
        }
    },
}


class Operations:
    """Makes the operations of a document, whose schemas and comments these are."""

    def __init__(self, schemas: Schemas, comments: Comments, *, with_tokens: bool) -> None:
        self._schemas = schemas
        self._comments = comments
        self._with_tokens = with_tokens
        self._ids: Counter[str] = Counter()

    def responses(self) -> dict[str, Any]:
        """The answers that all operations share: every error has one shape (AIP-193)."""
        return {"Error": {"description": "An error.", "content": {"application/json": {"schema": _ERROR}}}}

    def of(self, route: Route, path: OpenApiPath) -> Operation:
        """The operation of a route."""
        method, comment = route.method, self._comments.of(route.method.name)
        operation: Operation = {
            "operationId": self._operation_id(method),
            "tags": [method.service],
            "summary": first_sentence(comment) or method.desc.name,
            "parameters": [*self._path(route, path), *self._query(route), *_headers(route)],
            "responses": self._responses(route),
        }
        if comment:
            operation["description"] = comment
        if method.desc.deprecated:
            operation["deprecated"] = True
        if body := self._body(route):
            operation["requestBody"] = body
        if self._with_tokens:
            operation["security"] = [] if method.policy.public else [{"accessToken": sorted(method.policy.scopes)}]
        return operation

    def _operation_id(self, method: Method) -> str:
        """Service_Method; the rules of one method are counted."""
        name = f"{method.desc.parent.name}_{method.desc.name}"
        self._ids[name] += 1
        return name if self._ids[name] == 1 else f"{name}_{self._ids[name]}"

    def _path(self, route: Route, path: OpenApiPath) -> Iterator[Operation]:
        for parameter in path.parameters:
            yield {"name": parameter.name, "in": "path", "required": True, **self._path_value(route, parameter)}

    def _path_value(self, route: Route, parameter: PathParameter) -> Operation:
        schema: Schema = {"type": "string"}
        description = ""
        if parameter.variable is not None:
            field = route.variables[parameter.variable][-1]
            variable = route.template.variables[parameter.variable]
            described = self._schemas.field(field)
            description = described.pop("description", "")
            if variable.end - variable.start == 1:
                schema = {key: value for key, value in described.items() if key != "readOnly"}
        if parameter.may_have_slashes:
            description = f"{description} May hold slashes.".strip()
        return {"schema": schema, **({"description": description} if description else {})}

    def _query(self, route: Route) -> Iterator[Operation]:
        if route.whole_body:
            return
        bound = frozenset(route.variables)
        for field in route.method.desc.input.fields:
            if field is not route.body:
                yield from self._parameters((field,), bound)

    def _parameters(
        self, fields: tuple[DescField, ...], bound: frozenset[tuple[DescField, ...]]
    ) -> Iterator[Operation]:
        field = fields[-1]
        if fields in bound or FieldBehavior.OUTPUT_ONLY in behaviors(field):
            return
        inner = _object_of(field)
        if inner is not None:
            nested = inner.fields if len(fields) < DEPTH_MAX and isinstance(field.value, DescFieldValueMessage) else ()
            for each in nested:
                yield from self._parameters((*fields, each), bound)
            return
        schema = self._schemas.field(field)
        parameter: Operation = {"name": ".".join(each.json_name for each in fields), "in": "query"}
        if description := schema.pop("description", ""):
            parameter["description"] = description
        if isinstance(field.value, DescFieldValueMap):
            parameter |= {"style": "deepObject", "explode": True}
        if len(fields) == 1 and must_be_given(field):
            parameter["required"] = True
        yield {**parameter, "schema": schema}

    def _body(self, route: Route) -> Operation | None:
        request = route.method.desc.input
        if route.body is not None:
            content = _raw(route.body) or {"application/json": {"schema": self._schemas.field(route.body)}}
            return {"required": must_be_given(route.body), "content": content}
        if not route.whole_body:
            return None
        if request.type_name == HTTP_BODY:
            return {"content": _RAW}
        in_path = [fields[0] for fields in route.variables if len(fields) == 1]
        whole = self._schemas.message(request, request.fields, in_path) if in_path else self._schemas.of(request)
        content = {"application/json": {"schema": whole}, FORM: {"schema": whole}}
        required = any(must_be_given(field) for field in request.fields if field not in in_path)
        return {"required": required, "content": content}

    def _responses(self, route: Route) -> Operation:
        output = route.method.desc.output
        if route.response_body is not None:
            content = _raw(route.response_body) or _json(self._schemas.field(route.response_body))
        elif output.type_name == HTTP_BODY:
            content = _RAW
        else:
            content = _json(self._schemas.of(output))
        success = {"description": "Success.", "content": content}
        error = {"$ref": "#/components/responses/Error"}
        return {str(route.method.policy.http_status): success, "default": error}


def _json(schema: Schema) -> Operation:
    return {"application/json": {"schema": schema}}


def _raw(field: DescField) -> Operation | None:
    """The content of a google.api.HttpBody, which travels as it is."""
    is_raw = isinstance(field.value, DescFieldValueMessage) and field.value.message.type_name == HTTP_BODY
    return _RAW if is_raw else None


def _object_of(field: DescField) -> DescMessage | None:
    """The message type of a field that no text can stand for; None for all that fits into a parameter."""
    match field.value:
        case (
            DescFieldValueMessage(message=DescMessage() as message)
            | DescFieldValueList(element=DescMessage() as message)
            | DescFieldValueMap(value=DescMessage() as message)
        ) if text_leaf(message) is None:
            return message
    return None


def _headers(route: Route) -> Iterator[Operation]:
    """The headers that stand for fields of the request."""
    names = {field.name: field for field in route.method.desc.input.fields}
    if "request_id" in names and _is_text(names["request_id"]):
        text = "Fills `requestId`: the same key again gets the first answer again."
        yield {"name": "Idempotency-Key", "in": "header", "description": text, "schema": {"type": "string"}}
    if route.http_method not in ("GET", "HEAD") and "etag" in names and _is_text(names["etag"]):
        text = "Fills `etag`: the change is made only if it is the current one."
        yield {"name": "If-Match", "in": "header", "description": text, "schema": {"type": "string"}}


def _is_text(field: DescField) -> bool:
    return isinstance(field.value, DescFieldValueScalar) and field.value.scalar is ScalarType.STRING
