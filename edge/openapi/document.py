"""The OpenAPI document of the routes that the edge serves."""

import json
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from protobuf import DescService

from edge.contract import Route
from edge.openapi.comments import Comments
from edge.openapi.operations import BEARER, Operations
from edge.openapi.paths import Paths
from edge.openapi.schemas import Schemas

VERSION: Final = "3.1.1"

_METHODS: Final = frozenset({"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"})
_BEARER: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "An access token (RFC 6750).",
}
_ERRORS: Final = {
    "400": "The request is wrong; every violation is listed with its field.",
    "401": "The access token is missing, expired or not valid.",
    "403": "The access token lacks a scope, or its bearer may not do this.",
    "404": "There is no such resource, or the caller may not know of it.",
    "429": "Too many requests; Retry-After says when to come back.",
    "503": "A service is away for now; Retry-After says when to come back.",
    "504": "The call took longer than its deadline.",
    "default": "Any other error.",
}
_ERROR_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Every error has this shape (AIP-193).",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "status"],
            "properties": {
                "code": {"type": "integer", "description": "The HTTP status."},
                "message": {"type": "string", "description": "What is wrong, for a person."},
                "status": {"type": "string", "description": "The gRPC status code.", "examples": ["NOT_FOUND"]},
                "details": {
                    "type": "array",
                    "description": "Details by type: google.rpc.ErrorInfo, google.rpc.BadRequest and others.",
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


class Document:
    """Made when it is first asked for."""

    def __init__(self, routes: Sequence[Route], *, title: str, secured: bool) -> None:
        """`secured` says that the edge verifies tokens."""
        self._routes = routes
        self._title = title
        self._secured = secured

    @cached_property
    def _services(self) -> tuple[DescService, ...]:
        """The services that have routes, in their order."""
        return tuple({route.method.service: route.method.desc.parent for route in self._routes}.values())

    @cached_property
    def json(self) -> bytes:
        """The document on the wire."""
        return json.dumps(self.make(), ensure_ascii=False).encode()

    def make(self) -> dict[str, Any]:
        """The OpenAPI Object. Rules of custom HTTP methods are left out: a Path Item has no place for them."""
        comments = Comments({service.file.name: service.file for service in self._services}.values())
        schemas, tags = Schemas(comments), self._tags()
        operations, paths = Operations(schemas, comments, tags, secured=self._secured), Paths()
        path_items: dict[str, dict[str, Any]] = {}
        for route in self._routes:
            if route.http_method in _METHODS:
                path = paths.make(route)
                item = path_items.setdefault(path.text, {})
                item.setdefault(route.http_method.lower(), operations.make(route, path))
        components = {"schemas": {"Error": _ERROR_SCHEMA, **schemas.components}, "responses": _error_responses()}
        return {
            "openapi": VERSION,
            "info": {"title": self._title, "version": self._version()},
            "servers": [{"url": "/"}],
            "tags": [{"name": tag, "description": comments.of(service)} for service, tag in tags.items()],
            "paths": path_items,
            "components": {**components, **({"securitySchemes": {BEARER: _BEARER}} if self._secured else {})},
        }

    def _version(self) -> str:
        """The last part of the packages' names where they agree: v1."""
        versions = {service.file.proto.package.rpartition(".")[2] for service in self._services}
        return versions.pop() if len(versions) == 1 else "1"

    def _tags(self) -> dict[str, str]:
        """The tag of each service: its name, with the package where two services have the same."""
        count = Counter(service.name for service in self._services)
        return {
            service.type_name: service.name if count[service.name] == 1 else service.type_name
            for service in self._services
        }


def _error_responses() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {status: {"description": description, "content": content} for status, description in _ERRORS.items()}
