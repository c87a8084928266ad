"""The OpenAPI documents of the routes that the edge serves.

A small contract has one document. A contract of thousands of routes has one for each service, because no page can show
all of it and no generator can read it, and a single document would build every type that the contract declares.
"""

import asyncio
import json
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, Final

from edge.contract.route import Route
from edge.contract.types import LazyTypes
from edge.openapi.comments import Comments
from edge.openapi.operations import Operations
from edge.openapi.parameters import SHARED
from edge.openapi.paths import PathPattern, Paths
from edge.openapi.responses import HEADERS, SCHEMAS, error_responses
from edge.openapi.samples.field_values import FieldValues
from edge.openapi.samples.request_samples import RequestSamples
from edge.openapi.samples.response_samples import ResponseSamples
from edge.openapi.samples.rule_check import RuleCheck
from edge.openapi.schemas.components import Components
from edge.openapi.schemas.message_schemas import MessageSchemas
from edge.reply.response_writer import JsonStyle

VERSION: Final = "3.1.1"
ROUTES_TOGETHER_MAX: Final = 1000
"""How many routes one document may have."""

CACHED_MAX: Final = 16
YIELD_EVERY_S: Final = 0.005

METHODS: Final = frozenset({"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"})
"""The HTTP methods whose operations are members of a Path Item Object, under their names in lower case."""

BEARER: Final = "bearer"
X_OAUTH2: Final = "x-oauth2"
"""The scheme by which the pages sign in. It is an extension, because openapi-generator's clients in Go would need an
OAuth library with it.
"""
_BEARER: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "An access token (RFC 6750).",
}
_ALL_SCOPES: Final = "Choose no scope to get all of them."
_WITH_PASSWORD: Final = f"Sign in with a name and a password (RFC 6749, section 4.3). {_ALL_SCOPES}"
_ON_PAGE: Final = f"Sign in on the issuer's page (RFC 6749, section 4.1, with PKCE). {_ALL_SCOPES}"
_NOTES: Final = """\
Field names are in camelCase; requests may also use the contract's names. Null means that a field is absent. 64-bit \
integers are strings in responses. Responses leave out fields that have their default value.

Every method takes three query parameters besides its own: `$fields` selects fields of the response, \
`$prettyPrint=true` indents it, and `$alt=proto` selects Protobuf's binary format."""


class Documents:
    """The documents of a contract, each made when it is first requested."""

    def __init__(
        self,
        routes: Sequence[Route],
        types: LazyTypes,
        *,
        title: str,
        secured: bool,
        token_url: str | None = None,
        authorization_url: str | None = None,
        style: JsonStyle | None = None,
        ignore_unknown: bool = False,
        url: str = "/openapi.json",
    ) -> None:
        """`secured` says that the edge verifies tokens, which `token_url` issues if it is known, for codes of
        `authorization_url` or otherwise for passwords. `style` is that of responses. With `ignore_unknown` requests may
        hold fields that the contract lacks. `url` is the path at which the documents are served.
        """
        self._routes = routes
        self._url = url
        self._types = types
        self._comments = Comments(types)
        self._title = title
        self._secured = secured
        self._token_url = token_url
        self._authorization_url = authorization_url
        self._style = style
        self._ignore_unknown = ignore_unknown
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._lock = asyncio.Lock()

    @cached_property
    def services(self) -> dict[str, int]:
        """Counts the routes of each service, in the order of the contract."""
        return {name: len(routes) for name, routes in self._by_service.items()}

    @property
    def are_split(self) -> bool:
        """Returns whether each service has a document of its own."""
        return len(self._routes) > ROUTES_TOGETHER_MAX

    async def json(self, service: str = "") -> bytes:
        """Returns the document of one service, or of all if it is "". If the documents are split, the latter lists the
        services instead. The event loop serves other requests meanwhile.
        """
        async with self._lock:
            if service not in self._cache:
                self._cache[service] = await joined_cooperatively(self.pieces(service))
            self._cache.move_to_end(service)
            if len(self._cache) > CACHED_MAX:
                self._cache.popitem(last=False)
            return self._cache[service]

    def pieces(self, service: str = "") -> Iterator[bytes]:
        """Yields the document of one service, or of all, in pieces that each take little time to make."""
        if self.are_split and not service:
            yield _encode({**self._head(()), "paths": {}, "x-services": self._index()})
            return
        routes = self._by_service[service] if service else self._routes
        components = Components(reserved=SCHEMAS)
        schemas = MessageSchemas(
            components, self._comments, self._types, style=self._style, ignore_unknown=self._ignore_unknown
        )
        operations = self._operations(schemas, tuple(self._security_schemes(routes)))
        by_path: dict[str, list[tuple[Route, PathPattern]]] = {}
        paths = Paths()
        for route in routes:
            path = paths.of(route)
            by_path.setdefault(path.text, []).append((route, path))
            yield b""
        yield _open(self._head(routes)) + b', "paths": {'
        yield from _members((text, self._path_item(found, operations)) for text, found in by_path.items())
        yield b'}, "components": ' + _open(self._components(routes)) + b', "schemas": {'
        yield from _members(chain(SCHEMAS.items(), components.take()))
        yield b"}}}"

    def _operations(self, schemas: MessageSchemas, security: Sequence[str]) -> Operations:
        """Returns the maker of the operations, whose samples have schemas that are not in the document."""
        values = FieldValues(MessageSchemas(Components(), self._comments, self._types))
        check = RuleCheck(self._types, schemas.requirements.validator)
        request_samples = RequestSamples(values, schemas.requirements, check)
        response_samples = ResponseSamples(values, schemas.requirements, check, self._types, self._style or JsonStyle())
        return Operations(schemas, self._comments, self._tags, request_samples, response_samples, security=security)

    def _path_item(self, found: list[tuple[Route, PathPattern]], operations: Operations) -> dict[str, Any]:
        """Returns the Path Item Object of a path. Custom HTTP methods are in an extension that has the name of their
        field in OpenAPI 3.2.
        """
        item: dict[str, Any] = {}
        for route, path in found:
            if route.http_method in METHODS:
                item.setdefault(route.http_method.lower(), operations.of(route, self._ids[id(route)], path))
            else:
                others = item.setdefault("x-additionalOperations", {})
                others.setdefault(route.http_method, operations.of(route, self._ids[id(route)], path))
        return item

    def _head(self, routes: Sequence[Route]) -> dict[str, Any]:
        """Returns the members of the document that precede the paths."""
        services = {route.method.service: route.method.desc.parent for route in routes}
        packages = {service.file.proto.package: service.file for service in services.values()}
        about = (
            [self._comments.of_package(package, file.name) for package, file in packages.items()]
            if len(packages) == 1
            else []
        )
        head = {
            "openapi": VERSION,
            "info": {
                "title": self._title,
                "version": _version(services or self.services),
                "description": "\n\n".join(filter(None, [*about, _NOTES])),
            },
            "servers": [{"url": "/"}],
            "tags": [{"name": self._tags[name], "description": self._comments.of(name)} for name in services],
        }
        if len(packages) > 1:
            head["x-tagGroups"] = [
                {"name": package, "tags": [self._tags[name] for name in services if _package(name) == package]}
                for package in packages
            ]
        return head

    def _components(self, routes: Sequence[Route]) -> dict[str, Any]:
        """Returns the Components Object without the schemas."""
        shared = {"responses": error_responses(), "parameters": SHARED, "headers": HEADERS}
        schemes = self._security_schemes(routes)
        return {**shared, "securitySchemes": schemes} if schemes else shared

    def _security_schemes(self, routes: Sequence[Route]) -> dict[str, Any]:
        """Returns the ways to authorize a request, none if the edge does not verify tokens."""
        if not self._secured:
            return {}
        if self._token_url is None:
            return {BEARER: _BEARER}
        scopes = sorted({scope for route in routes for scope in route.method.policy.scopes})
        flow = {"tokenUrl": self._token_url, "scopes": {scope: scope for scope in scopes}}
        sign_in = {"type": "oauth2", "description": _WITH_PASSWORD, "flows": {"password": flow}}
        if self._authorization_url is not None:
            flow = {"authorizationUrl": self._authorization_url, **flow}
            sign_in = {"type": "oauth2", "description": _ON_PAGE, "flows": {"authorizationCode": flow}}
        return {BEARER: {**_BEARER, X_OAUTH2: sign_in}}

    def _index(self) -> list[dict[str, Any]]:
        """Returns the services with the URLs of their documents."""
        return [
            {"name": name, "operations": count, "url": f"{self._url}?service={name}"}
            for name, count in self.services.items()
        ]

    @cached_property
    def _by_service(self) -> dict[str, list[Route]]:
        found: dict[str, list[Route]] = {}
        for route in self._routes:
            found.setdefault(route.method.service, []).append(route)
        return found

    @cached_property
    def _tags(self) -> dict[str, str]:
        """Returns the tag of each service: its name, with the package if another service has the same name."""
        count = Counter(name.rpartition(".")[2] for name in self.services)
        short = ((name, name.rpartition(".")[2]) for name in self.services)
        return {name: tag if count[tag] == 1 else name for name, tag in short}

    @cached_property
    def _ids(self) -> dict[int, str]:
        """Returns the operationId of each route, by its id(): the RPC's name, numbered for additional bindings."""
        ids: dict[int, str] = {}
        bindings: Counter[str] = Counter()
        taken: set[str] = set()
        for route in self._routes:
            method = route.method
            name = f"{self._tags[method.service]}_{method.path.rpartition('/')[2]}"
            bindings[method.name] += 1
            unique = name if bindings[method.name] == 1 else f"{name}_{bindings[method.name]}"
            while unique in taken:
                unique += "_"
            taken.add(unique)
            ids[id(route)] = unique
        return ids


def _package(service: str) -> str:
    return service.rpartition(".")[0]


def _version(services: Iterable[str]) -> str:
    """Returns the last part of the packages' names, such as v1, if they share it, otherwise "1"."""
    versions = {_package(service).rpartition(".")[2] for service in services}
    return versions.pop() or "1" if len(versions) == 1 else "1"


def _encode(value: Any) -> bytes:
    return json.dumps(_escaped(value), ensure_ascii=False).encode()


def _escaped(value: Any) -> Any:
    """Returns the value with the end of a comment escaped in its texts, because generators copy these into comments of
    Go and TypeScript without escaping them.
    """
    if isinstance(value, dict):
        return {
            key: each.replace("*/", "*\\/") if key in _TEXTS and isinstance(each, str) else _escaped(each)
            for key, each in value.items()
        }
    return [_escaped(each) for each in value] if isinstance(value, list | tuple) else value


_TEXTS: Final = frozenset({"description", "summary"})


def _open(members: dict[str, Any]) -> bytes:
    """Returns the JSON of an object without its closing brace."""
    return _encode(members).removesuffix(b"}")


def _members(members: Iterable[tuple[str, Any]]) -> Iterator[bytes]:
    """Yields the JSON of the members of an object, one in each piece."""
    separator = b""
    for name, value in members:
        yield separator + _encode(name) + b": " + _encode(value)
        separator = b", "


async def joined_cooperatively(pieces: Iterator[bytes]) -> bytes:
    """Joins the pieces. Yields to the event loop every few milliseconds."""
    made = []
    until = time.monotonic() + YIELD_EVERY_S
    for piece in pieces:
        made.append(piece)
        if time.monotonic() > until:
            await asyncio.sleep(0)
            until = time.monotonic() + YIELD_EVERY_S
    return b"".join(made)
