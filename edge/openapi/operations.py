"""The Operation Objects of a contract's routes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from googleapis.google.api.field_behavior_pb import FieldBehavior
from protobuf import DescField, DescFieldValueEnum, DescFieldValueMessage, DescFieldValueScalar

from edge.contract.http_body import HTTP_BODY
from edge.contract.route import Route
from edge.http.request import FORM, JSON
from edge.openapi import streams
from edge.openapi.comments import Comments
from edge.openapi.json_schema import BINARY, Schema, add_for_validators, media_type
from edge.openapi.parameters import Parameters, can_be_form
from edge.openapi.paths import PathPattern
from edge.openapi.responses import Responses
from edge.openapi.samples.request_samples import RequestSamples
from edge.openapi.samples.response_samples import ResponseSamples
from edge.openapi.schemas.field_behavior import behaviors
from edge.openapi.schemas.message_schemas import MessageSchemas
from edge.openapi.schemas.schema_variant import SchemaVariant
from edge.openapi.schemas.well_known_schemas import is_scalar

_SENTENCE_END = re.compile(r"\.(?:\s|$)")
_BINARY_BODY: Final[dict[str, Any]] = {
    "description": "The bytes themselves, of any Content-Type, which the service receives too.",
    "content": {"application/octet-stream": {"schema": BINARY}},
}


class Operations:
    """The operations of a document, and the schemas that they need."""

    def __init__(
        self,
        schemas: MessageSchemas,
        comments: Comments,
        tags: Mapping[str, str],
        request_samples: RequestSamples,
        response_samples: ResponseSamples,
        *,
        security: Sequence[str],
    ) -> None:
        """`tags` are those of the services, by name. `security` are the names of the schemes by which a request can be
        authorized, none if the edge does not verify tokens.
        """
        self._schemas = schemas
        self._samples = request_samples
        self._requirements = schemas.requirements
        self._tags = tags
        self._comments = comments
        self._security = security
        self._parameters = Parameters(schemas)
        self._responses = Responses(schemas, comments, response_samples, secured=bool(security))

    def of(self, route: Route, operation_id: str, path: PathPattern) -> dict[str, Any]:
        """Returns the Operation Object of a route."""
        method = route.method
        kind = method.desc.method_kind
        comment = self._comments.of(method.name)
        variant = SchemaVariant.UPDATE if route.http_method == "PATCH" else SchemaVariant.REQUEST
        sample = self._samples.of(route, variant)
        summary = _SENTENCE_END.split(" ".join(comment.split()), maxsplit=1)[0] or method.desc.name
        operation: dict[str, Any] = {
            "operationId": operation_id,
            "tags": [self._tags[method.service]],
            "summary": summary,
            "parameters": self._parameters.of(route, path),
            "responses": self._responses.of(route, sample),
        }
        notes = [comment if comment.rstrip(".") != summary else "", *self._notes(route)]
        if description := "\n\n".join(filter(None, notes)):
            operation["description"] = description
        if (body := self._body(route, operation_id, variant, sample)) is not None:
            operation["requestBody"] = body
        if kind != "unary":
            operation["x-websocket"] = self._websocket_messages(route)
        if self._security:
            scopes = sorted(method.policy.scopes)
            operation["security"] = [] if method.policy.public else [{name: scopes} for name in self._security]
        if method.desc.deprecated or method.desc.parent.deprecated:
            operation["deprecated"] = True
        return operation

    def _notes(self, route: Route) -> list[str]:
        """Returns notes on scopes and WebSockets, for which an operation has no place of its own."""
        policy, kind = route.method.policy, route.method.desc.method_kind
        notes = []
        if self._security and policy.scopes and not policy.public:
            scopes = ", ".join(f"`{scope}`" for scope in sorted(policy.scopes))
            notes.append(f"Requires the scope{'s' if len(policy.scopes) > 1 else ''} {scopes}.")
        if kind != "unary":
            notes.append(streams.WEBSOCKET if kind == "bidi_streaming" else streams.AS_WEBSOCKET)
        return notes

    def _websocket_messages(self, route: Route) -> dict[str, Any]:
        """Returns the schemas of the messages that each side of a WebSocket sends."""
        desc = route.method.desc
        return {
            "send": self._schemas.message(desc.input, SchemaVariant.REQUEST),
            "receive": self._schemas.message(desc.output, SchemaVariant.RESPONSE),
        }

    def _body(self, route: Route, operation_id: str, variant: SchemaVariant, sample: Any) -> dict[str, Any] | None:
        """Returns the Request Body Object of a route, None if it has no body. `sample` is a valid one, or None."""
        if route.whole_body:
            return self._whole_body(route, operation_id, variant, sample)
        return self._field_body(route, route.body, variant, sample) if route.body is not None else None

    def _whole_body(self, route: Route, operation_id: str, variant: SchemaVariant, sample: Any) -> dict[str, Any]:
        request = route.method.desc.input
        if request.type_name == HTTP_BODY:
            return _BINARY_BODY
        if _streams_requests(route):
            return streams.request_body(self._schemas.message(request, variant), sample)
        is_form = can_be_form(request)
        # A well-known type as a whole request is an object of its fields like any other message.
        if not route.variables and not is_scalar(request):
            schema = self._schemas.message(request, variant)
        else:
            schema = self._schemas.object(request, variant, without=route.variables)
            schema = self._component(f"{operation_id}-Body", schema) if is_form else schema
        content = {JSON: media_type(schema, sample)}
        if is_form:
            # Both refer to the same type, because some generators make no type for a form alone. A form has no null.
            form = dict(schema)
            add_for_validators(form, {"additionalProperties": {"not": {"type": "null"}}})
            content[FORM] = media_type(form, sample)
        return {"content": content, "required": self._requirements.are_left(request, variant, route.variables)}

    def _field_body(self, route: Route, field: DescField, variant: SchemaVariant, sample: Any) -> dict[str, Any]:
        message = field.value.message if isinstance(field.value, DescFieldValueMessage) else None
        if message is not None and message.type_name == HTTP_BODY:
            return _BINARY_BODY
        in_path = [fields[1:] for fields in route.variables if fields[0] is field]
        schema = self._schemas.field(field, variant, optional=False, without=in_path)
        if _streams_requests(route):
            return streams.request_body(schema, sample)
        if in_path and message is not None:
            required = self._requirements.are_left(message, variant, in_path)
        else:
            by_rule = field.name in self._requirements.by_rules(route.method.desc.input)
            required = by_rule or FieldBehavior.REQUIRED in behaviors(field)
        if isinstance(field.value, DescFieldValueScalar | DescFieldValueEnum) or (message and is_scalar(message)):
            schema = _untyped(schema)
        return {"content": {JSON: media_type(schema, sample)}, "required": required}

    def _component(self, name: str, schema: Schema) -> Schema:
        return self._schemas.components.add(name, lambda: schema, is_type=False)


def _streams_requests(route: Route) -> bool:
    return route.method.desc.method_kind in ("client_streaming", "bidi_streaming")


def _untyped(schema: Schema) -> Schema:
    """Returns the same schema with its types where only validators read them, because generators of Python and
    TypeScript write wrong code for a body of several scalar types.
    """
    made: Schema = {"description": schema["description"]} if "description" in schema else {}
    return made | {"if": {"not": {}}, "else": schema}
