"""The routes that are served, and what is wrong with those of the contract."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from protovalidate import CompilationError

from edge.app.endpoint_factory import EndpointFactory
from edge.app.pages import METHODS, Pages
from edge.app.websocket_app import WebSocketMaker
from edge.call.upstream import Upstream
from edge.contract.contract import Contract
from edge.contract.problem import Problem
from edge.contract.route import Route
from edge.http.http1_protocol import can_arrive
from edge.httprule.overlaps import Overlap, overlaps
from edge.httprule.router import ANY_METHOD, Match, Router
from edge.httprule.template import PathTemplate
from edge.protocols.endpoint import Endpoint
from edge.settings import EdgeSettings
from mesh.identity import Verifier

SHOWN_MAX: Final = 3
"""How many names a problem shows at most."""


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes that are served, and what is wrong with those of the contract."""

    router: Router[Endpoint]
    sockets: Router[WebSocketMaker]
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
    endpoints = EndpointFactory(contract, settings, upstream_of, verifier)
    router: Router[Endpoint] = Router()
    sockets: Router[WebSocketMaker] = Router()
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
