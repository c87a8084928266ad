"""The OpenAPI document of the routes that the edge serves."""

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from edge.contract import Contract, Route
from edge.openapi.comments import Comments
from edge.openapi.operations import BEARER, Operations
from edge.openapi.paths import Paths
from edge.openapi.schemas import Schemas

VERSION: Final = "3.1.1"

_METHODS: Final = frozenset({"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"})
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

    def __init__(self, contract: Contract, routes: Sequence[Route], *, title: str, version: str, secured: bool) -> None:
        """`secured` says that the edge verifies tokens."""
        self._contract = contract
        self._routes = routes
        self._title = title
        self._version = version
        self._secured = secured

    @cached_property
    def json(self) -> bytes:
        """The document on the wire."""
        return json.dumps(self.make(), ensure_ascii=False).encode()

    def make(self) -> dict[str, Any]:
        """The OpenAPI Object."""
        comments = Comments({service.file.name: service.file for service in self._contract.services}.values())
        schemas = Schemas(comments)
        operations, paths = Operations(schemas, comments, secured=self._secured), Paths()
        path_items: dict[str, dict[str, Any]] = {}
        for route in self._routes:
            if route.http_method in _METHODS:
                path = paths.make(route)
                item = path_items.setdefault(path.text, {})
                item.setdefault(route.http_method.lower(), operations.make(route, path))
        document: dict[str, Any] = {
            "openapi": VERSION,
            "info": {"title": self._title, "version": self._version},
            "servers": [{"url": "/"}],
            "tags": self._tags(comments),
            "paths": path_items,
            "components": {"schemas": {"Error": _ERROR_SCHEMA, **schemas.components}, "responses": _error_responses()},
        }
        if self._secured:
            bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            document["components"]["securitySchemes"] = {BEARER: bearer}
        return document

    def _tags(self, comments: Comments) -> list[dict[str, str]]:
        served = {route.method.service for route in self._routes}
        tags = {}
        for service in self._contract.services:
            if service.type_name in served:
                tags[service.name] = {"name": service.name, "description": comments.of(service.type_name)}
        return list(tags.values())


def _error_responses() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {status: {"description": description, "content": content} for status, description in _ERRORS.items()}
