"""The FastAPI application: the contract's routes, and beside them the documentation and the operations pages.

A contract's route is served by one ASGI application of its own, because FastAPI's routing and dependency machinery
costs more than the rest of a call. The few pages that are not of the contract are FastAPI's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI
from protovalidate import CompilationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as PageRoute

from edge.connection import can_arrive
from edge.contract import Contract, Problem, Route
from edge.cors import Cors
from edge.docs import OPENAPI, add_docs
from edge.endpoint import Endpoint
from edge.endpoints import Endpoints, json_style
from edge.errors import HttpError, render
from edge.openapi.document import Documents
from edge.overlaps import Overlap, overlaps
from edge.pages import METHODS, Pages
from edge.path_template import PathTemplate
from edge.pipeline import Pipeline
from edge.router import ANY_METHOD, MalformedPath, Match, Router
from edge.settings import EdgeSettings
from edge.sockets.pipeline import SocketMaker, Sockets
from edge.upstream import Upstream
from mesh.errors import Internal
from mesh.identity import Verifier

SHOWN_MAX: Final = 3
"""How many names a problem shows at most."""


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes that are served, and what is wrong with those of the contract."""

    router: Router[Endpoint]
    sockets: Router[SocketMaker]
    served: tuple[Route, ...]
    problems: tuple[Problem, ...]


def route(
    contract: Contract,
    settings: EdgeSettings,
    upstream_of: Callable[[str], Upstream],
    verifier: Verifier | None,
) -> Routes:
    """Makes the routes of a contract. Of two that have the same URL the first declared is served. Every method that has
    one is served under its own name too.
    """
    endpoints = Endpoints(contract, settings, upstream_of, verifier)
    router: Router[Endpoint] = Router()
    sockets: Router[SocketMaker] = Router()
    served: list[Route] = []
    served_by: dict[int, Route] = {}
    problems = list(contract.problems)
    for each in contract.routes:
        try:
            endpoint = endpoints.of(each)
        except CompilationError as error:
            problems.append(Problem(each.method.name, each.template.text, 0, f"a rule is wrong: {error}"))
            continue
        first = router.add(each.http_method, each.template, endpoint)
        if first is None:
            served.append(each)
            served_by[id(endpoint)] = each
            if each.method.streams and (other := sockets.add("GET", each.template, endpoints.socket(each))) is not None:
                why = f"the WebSocket of this URL is that of {other.template.text!r}, which another HTTP method has"
                problems.append(Problem(each.method.name, each.template.text, 0, why, fatal=False))
        else:
            why = f"{each.http_method} of this URL is served by {first.template.text!r} of {first.target.name} already"
            problems.append(Problem(each.method.name, each.template.text, 0, why, fatal=False))
    unreadable = {name for name in {each.http_method for each in served} - {ANY_METHOD} if not can_arrive(name)}
    problems += [_unreachable(each) for each in served if each.http_method in unreadable]
    problems += map(_shared, overlaps(router))
    problems += _under_pages(router, served_by, Pages.of(settings))
    problems += _idle(contract, settings)
    for method in contract.methods:
        template = PathTemplate(method.path, (method.service, method.path.rpartition("/")[2]), (True, True), (), "")
        for http_method in ("POST",) if method.has_effects else ("POST", "GET"):
            router.add(http_method, template, endpoints.procedure(method))
    return Routes(router, sockets, tuple(served), tuple(problems))


def _unreachable(served: Route) -> Problem:
    """Says that a route is of no use."""
    why = f"no request gets here: {served.http_method} is none of the HTTP methods that can be read"
    return Problem(served.method.name, served.template.text, 0, why, fatal=False)


def _under_pages(router: Router[Endpoint], served_by: dict[int, Route], pages: Pages) -> Iterator[Problem]:
    """Says which routes would have the URLs of pages."""
    hidden: dict[int, list[str]] = {}
    for page in pages.all():
        matches = [router.match(method, page) for method in METHODS]
        for target in {id(found.target) for found in matches if isinstance(found, Match)}:
            hidden.setdefault(target, []).append(page)
    for target, urls in hidden.items():
        what = f"pages of the edge go first for GET and HEAD: {_listed(urls)}"
        method, template = served_by[target].method.name, served_by[target].template.text
        yield Problem(method, template, 0, f"{what}; set PAGES_PATH to move them", fatal=False)


def _idle(contract: Contract, settings: EdgeSettings) -> Iterator[Problem]:
    """Says that there is nothing to serve, at all or of a service that has an upstream."""
    rule = 'option (google.api.http) = {get: "/v1/things"};'
    if not contract.services:
        yield Problem("the contracts", "", 0, "no service is declared, so that nothing would be served")
    elif not contract.methods:
        why = f"no method has a google.api.http rule, so that nothing would be served; add one, such as {rule}"
        yield Problem(_listed(contract.services), "", 0, why)
    else:
        served = {method.service for method in contract.methods}
        for service in contract.services:
            if service in settings.upstreams and service not in served:
                why = "it has an upstream, but no method with a google.api.http rule; nothing of it is served"
                yield Problem(service, "", 0, why, fatal=False)


def _listed(names: Sequence[str]) -> str:
    """The first of the names, and how many more there are."""
    more = f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else ""
    return ", ".join(names[:SHOWN_MAX]) + more


def _shared(overlap: Overlap[Endpoint]) -> Problem:
    """Says that some URLs of a route are another's."""
    first, second = overlap.first, overlap.second
    why = f"{overlap.http_method} {overlap.url} fits {first.template.text!r} of {first.target.name} too, which has it"
    return Problem(second.target.name, second.template.text, 0, why, fatal=False)


class EdgeApp(FastAPI):
    """Serves the contract's routes by `pipeline`, and its own pages as FastAPI does."""

    def __init__(
        self, contract: Contract, routes: Routes, settings: EdgeSettings, operations: Sequence[PageRoute]
    ) -> None:
        """`operations` are the pages for those who run this, empty if they are on another port."""
        super().__init__(title=settings.api_title, openapi_url=None, docs_url=None, redoc_url=None)
        cors = Cors(settings.cors_origins, settings.cors_max_age_s, settings.response_headers)
        self._sockets = Sockets(routes.sockets, contract.registry, cors)
        self._pipeline = Pipeline(routes.router, contract.registry, cors)
        documents = Documents(
            routes.served,
            contract.registry,
            title=settings.api_title,
            secured=settings.jwks_url is not None,
            style=json_style(settings),
            ignore_unknown=settings.ignore_unknown_fields,
            url=settings.pages_path + OPENAPI,
        )
        add_docs(self, documents)
        self.router.routes.extend(operations)
        self._pages = Pages.of(settings)
        self._contract_router = routes.router
        self.add_exception_handler(HTTPException, _http_exception)
        self.add_exception_handler(Exception, _exception)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
        if scope["type"] == "websocket":
            await self._sockets(scope, receive, send)
        elif scope["type"] != "http":
            await super().__call__(scope, receive, send)
        elif self._pages.hold(scope["path"]) and not self._has_route(scope):
            await super().__call__({**scope, "root_path": self._pages.base}, receive, send)
        else:
            await self._pipeline(scope, receive, send)

    def _has_route(self, scope: Any) -> bool:
        """Whether the contract has a request to the URL of a page that the page does not answer itself."""
        method = scope["method"]
        if method in METHODS:
            return False
        try:
            found = self._contract_router.match(method, scope["raw_path"].decode("latin-1"))
        except MalformedPath:
            return True  # which is said in the one shape of errors
        return isinstance(found, Match) or (method == "OPTIONS" and bool(found.allowed))


async def _http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for these"
    text = "This page does not take this method." if error.status_code == 405 else "There is nothing at this URL."
    reason = "METHOD_NOT_ALLOWED" if error.status_code == 405 else "ROUTE_NOT_FOUND"
    headers = [(name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()]
    return _response(*render(HttpError(error.status_code, text, reason, headers)))


async def _exception(_: Request, __: Exception) -> Response:
    return _response(*render(Internal("Internal error.")))


def _response(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> Response:
    return Response(body, status, {name.decode(): value.decode() for name, value in headers})
