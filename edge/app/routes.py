"""The routes that are served, and the problems of those in the contract."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from protovalidate import CompilationError

from edge.app.call_limits import CallLimits
from edge.app.endpoint_factory import EndpointFactory
from edge.app.pages import PAGE_METHODS, Pages
from edge.app.websocket_app import WebSocketFactory
from edge.call.upstream import Upstream
from edge.contract.contract import Contract
from edge.contract.problem import Problem
from edge.contract.route import Route
from edge.http.request_head import can_parse_method
from edge.httprule.overlaps import Overlap, find_overlaps
from edge.httprule.router import ANY_METHOD, Match, Router
from edge.httprule.template import PathTemplate
from edge.protocols.endpoint import Endpoint
from edge.settings import EdgeSettings
from mesh.identity import Verifier

SHOWN_MAX: Final = 3
"""The maximum number of names in a problem."""


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes that are served, over HTTP and over WebSocket, and the problems of those in the contract."""

    router: Router[Endpoint]
    sockets: Router[WebSocketFactory]
    served: tuple[Route, ...]
    problems: tuple[Problem, ...]


def build_routes(
    contract: Contract,
    settings: EdgeSettings,
    upstream_of: Callable[[str], Upstream],
    verifier: Verifier | None,
    limits: CallLimits | None = None,
) -> Routes:
    """Returns the routes of a contract. If two have the same URL, the first one in the contract is served. Every method
    with a route is also served under its own name. `limits` are those of the previous contract, if there is one.
    """
    endpoints = EndpointFactory(contract, settings, upstream_of, verifier, limits or CallLimits.of(settings))
    router: Router[Endpoint] = Router()
    sockets: Router[WebSocketFactory] = Router()
    served: list[Route] = []
    served_by: dict[int, Route] = {}
    problems = list(contract.problems)
    for each in contract.routes:
        try:
            endpoint = endpoints.rest_endpoint(each)
        except CompilationError as error:
            problems.append(Problem(each.method.name, each.template.text, 0, f"a validation rule is invalid: {error}"))
            continue
        first = router.add(each.http_method, each.template, endpoint)
        if first is None:
            served.append(each)
            served_by[id(endpoint)] = each
            if (
                each.method.streams
                and (other := sockets.add("GET", each.template, endpoints.websocket_endpoint(each))) is not None
            ):
                why = f"the WebSocket of this URL is already that of {other.template.text!r}, by another HTTP method"
                problems.append(Problem(each.method.name, each.template.text, 0, why, fatal=False))
        else:
            why = f"{each.http_method} of this URL is already served by {first.template.text!r} of {first.target.name}"
            problems.append(Problem(each.method.name, each.template.text, 0, why, fatal=False))
    unreadable = {name for name in {each.http_method for each in served} - {ANY_METHOD} if not can_parse_method(name)}
    problems += [_unreachable_problem(each) for each in served if each.http_method in unreadable]
    problems += map(_overlap_problem, find_overlaps(router))
    problems += _hidden_by_pages(router, served_by, Pages.of(settings))
    problems += _unserved_services(contract, settings)
    for method in contract.methods:
        if method.name in contract.refused:
            continue
        template = PathTemplate(method.path, (method.service, method.path.rpartition("/")[2]), (True, True), (), "")
        for http_method in ("POST",) if method.has_effects or method.streams else ("POST", "GET"):
            router.add(http_method, template, endpoints.rpc_endpoint(method))
    return Routes(router, sockets, tuple(served), tuple(problems))


def _unreachable_problem(served: Route) -> Problem:
    """Returns the problem of a route whose HTTP method the server can't read."""
    why = f"no request can reach this route: {served.http_method} is not an HTTP method that the server supports"
    return Problem(served.method.name, served.template.text, 0, why, fatal=False)


def _hidden_by_pages(router: Router[Endpoint], served_by: dict[int, Route], pages: Pages) -> Iterator[Problem]:
    """Yields a problem for each route whose URLs include those of pages."""
    hidden: dict[int, list[str]] = {}
    for page in pages.all_paths():
        matches = [router.match(method, page) for method in PAGE_METHODS]
        for target in {id(found.target) for found in matches if isinstance(found, Match)}:
            hidden.setdefault(target, []).append(page)
    for target, urls in hidden.items():
        what = f"pages of the edge take precedence for GET and HEAD: {_shortened(urls)}"
        method, template = served_by[target].method.name, served_by[target].template.text
        yield Problem(method, template, 0, f"{what}; set PAGES_PATH to move them", fatal=False)


def _unserved_services(contract: Contract, settings: EdgeSettings) -> Iterator[Problem]:
    """Yields a problem if the contract has nothing to serve, or for each service that has an upstream but no route."""
    rule = 'option (google.api.http) = {get: "/v1/things"};'
    if not contract.services:
        yield Problem("the contracts", "", 0, "no service is declared, so nothing would be served")
    elif not contract.methods:
        why = f"no method has a google.api.http rule, so nothing would be served; add one, such as {rule}"
        yield Problem(_shortened(contract.services), "", 0, why)
    else:
        served = {method.service for method in contract.methods}
        for service in contract.services:
            if service in settings.upstreams and service not in served:
                why = "it has an upstream, but is not served, because none of its methods has a google.api.http rule"
                yield Problem(service, "", 0, why, fatal=False)


def _shortened(names: Sequence[str]) -> str:
    """Returns the first names and the number of the others."""
    more = f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else ""
    return ", ".join(names[:SHOWN_MAX]) + more


def _overlap_problem(overlap: Overlap[Endpoint]) -> Problem:
    """Returns the problem of a route whose URLs partly belong to another one."""
    first, second = overlap.first, overlap.second
    why = f"{overlap.http_method} {overlap.url} also matches {first.template.text!r} of {first.target.name}, which wins"
    return Problem(second.target.name, second.template.text, 0, why, fatal=False)
