"""The document as a whole."""

from typing import Any, Final

from edge.contract import Contract, Route
from edge.openapi.comments import Comments
from edge.openapi.operations import Operations
from edge.openapi.paths import openapi_path
from edge.openapi.schemas import Schemas

OPENAPI_VERSION: Final = "3.1.0"

# A path item has no place for other methods.
_METHODS: Final = frozenset({"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"})

_BEARER: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "An access token (RFC 6750).",
}


def document(contract: Contract, *, title: str, with_tokens: bool) -> dict[str, Any]:
    """The document, as Python values for JSON. `with_tokens` says that the edge checks access tokens.

    Of routes that differ only in the names of their variables the first has the path, as it has the URL. Rules of
    custom HTTP methods are left out: OpenAPI has no place for them.
    """
    comments = Comments(contract)
    schemas = Schemas(comments)
    operations = Operations(schemas, comments, with_tokens=with_tokens)
    paths: dict[str, dict[str, Any]] = {}
    spelled: dict[str, str] = {}
    for route in contract.routes:
        if route.http_method in _METHODS:
            path = openapi_path(route)
            item = paths.setdefault(spelled.setdefault(path.shape, path.text), {})
            if route.http_method.lower() not in item:
                item[route.http_method.lower()] = operations.of(route, path)
    components: dict[str, Any] = {"responses": operations.responses(), "schemas": schemas.components()}
    if with_tokens:
        components["securitySchemes"] = {"accessToken": _BEARER}
    info = {"title": title, "version": _version(contract)}
    tags = _tags(contract, comments)
    return {"openapi": OPENAPI_VERSION, "info": info, "tags": tags, "paths": paths, "components": components}


def _version(contract: Contract) -> str:
    """The last part of the packages' names, where they agree: v1."""
    versions = {service.file.proto.package.rpartition(".")[2] for service in contract.services}
    return versions.pop() if len(versions) == 1 else "1"


def _tags(contract: Contract, comments: Comments) -> list[dict[str, str]]:
    """One tag for each service that is reached by HTTP."""
    routed: dict[str, Route] = {route.method.service: route for route in reversed(contract.routes)}
    tags = []
    for service in contract.services:
        if service.type_name in routed:
            comment = comments.of(service.type_name)
            tag = {"name": service.type_name, "x-displayName": service.name}
            tags.append({**tag, "description": comment} if comment else tag)
    return tags
