"""The page at /: what is served here, where it is documented, and how to call it."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from html import escape
from itertools import groupby, islice
from typing import Final
from urllib.parse import quote, urljoin

from fastapi import FastAPI
from googleapis.google.api.field_behavior_pb import FieldBehavior
from starlette.requests import Request
from starlette.responses import Response

from edge.app.docs import OPENAPI, REDOC, SERVICE, STYLE, SWAGGER_UI
from edge.app.html_page import html_page
from edge.contract.route import Route
from edge.contract.types import LazyTypes
from edge.http.negotiation import media_quality
from edge.http.request import JSON
from edge.openapi.comments import Comments
from edge.openapi.document import joined_cooperatively
from edge.openapi.schemas.field_behavior import behaviors

HOME: Final = "/"

_HTML: Final = "text/html"
_HOST = re.compile(r"[\w.-]+(?::\d+)?|\[[0-9A-Fa-f:.]+\](?::\d+)?")
_SENTENCE = re.compile(r".*?\.(?=\s|$)", re.DOTALL)

_DOCS: Final = {
    SWAGGER_UI: ("Documentation", "every method, to read and to try"),
    REDOC: ("Reference", "the same on one page, to read"),
    OPENAPI: ("OpenAPI", "the document for tools and generators"),
}
_OPERATIONS: Final = {
    "/readyz": ("Status", "whether the edge is ready, as JSON"),
    "/metrics": ("Metrics", "for Prometheus"),
}

_BODY: Final = """\
<h1>{title}</h1>
<p>{count}, as REST/JSON and by Connect and gRPC-Web.</p>
<ul class="cards">
{links}
</ul>
<h2>Services</h2>
<table>
<thead><tr><th>Service</th><th>Methods</th><th>About</th></tr></thead>
<tbody>
{services}
</tbody>
</table>
<h2>First calls</h2>
{calls}"""

# sed, because every machine has it.
_SIGN_IN: Final = """\
TOKEN=$(curl -s {url} -d grant_type=password \\
  --data-urlencode 'username=ada@example.com' --data-urlencode 'password=…' |
  sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/')"""
_CANDIDATES_MAX: Final = 50
_BEARER: Final = ' -H "authorization: Bearer $TOKEN"'


def prefers_page(accept: bytes) -> bool:
    """Returns whether a client that sends this Accept header is shown the page, and not an error in JSON."""
    return media_quality(accept, _HTML) >= media_quality(accept, JSON)


def add_home(
    app: FastAPI,
    routes: Sequence[Route],
    types: LazyTypes,
    *,
    secured: bool,
    token_url: str | None,
    links: Mapping[str, str],
    has_operations: bool,
) -> None:
    """Adds the page to the application. `secured` says that the edge verifies tokens, which `token_url` issues if it is
    known. `links` are URLs of other pages by their names. `has_operations` says that /readyz and /metrics are here.
    """
    own = {**_DOCS, **(_OPERATIONS if has_operations else {})}
    services = _services(routes)
    table = _ServiceTable(services, types)
    simple = cache(partial(_simple, routes))

    async def serve(request: Request) -> Response:
        base = request.scope["root_path"]
        here = _origin(request)
        cards = [_card(base + path, name, about) for path, (name, about) in own.items()]
        cards += [_card(url, name, url) for name, url in links.items()]
        body = _BODY.format(
            title=escape(app.title),
            count=_count(services),
            links="\n".join(cards),
            services=(await table.rows()).format(base=base),
            calls=_calls(simple(), here, token_url if secured else None, secured=secured),
        )
        page = html_page(app.title, body, [base + STYLE])
        page.headers["vary"] = "accept"
        return page

    app.add_route(HOME, serve)


def _services(routes: Sequence[Route]) -> dict[str, list[Route]]:
    """Returns one route of each method, by service."""
    methods = {route.method.name: route for route in reversed(routes)}
    ordered = sorted(methods.values(), key=lambda route: route.method.service)
    return {name: list(group) for name, group in groupby(ordered, key=lambda route: route.method.service)}


def _count(services: dict[str, list[Route]]) -> str:
    methods = sum(map(len, services.values()))
    return f"{methods} method{'s'[: methods != 1]} of {len(services)} service{'s'[: len(services) != 1]}"


class _ServiceTable:
    """The table of services. Its rows are made at the first request, because they need the comments of all services."""

    def __init__(self, services: dict[str, list[Route]], types: LazyTypes) -> None:
        self._services = services
        self._types = types
        self._rows = ""
        self._lock = asyncio.Lock()

    async def rows(self) -> str:
        """Returns the rows, with `{base}` where the base path goes. The event loop serves other requests meanwhile."""
        async with self._lock:
            if not self._rows:
                self._rows = (await joined_cooperatively(_rows(self._services, Comments(self._types)))).decode()
            return self._rows


def _rows(services: dict[str, list[Route]], comments: Comments) -> Iterator[bytes]:
    for name, routes in services.items():
        package, _, short = name.rpartition(".")
        about = _SENTENCE.match(comments.of(name))
        text = escape(" ".join(about[0].split()) if about else "").replace("{", "{{").replace("}", "}}")
        link = f'<a href="{{base}}{SWAGGER_UI}?{SERVICE}={quote(name)}">{escape(short)}</a>'
        row = f"<tr><td>{link} <small>{escape(package)}</small></td><td>{len(routes)}</td><td>{text}</td></tr>\n"
        yield row.encode()


def _card(url: str, name: str, about: str) -> str:
    return f'<li><a href="{escape(url)}">{escape(name)} <small>{escape(about)}</small></a></li>'


def _origin(request: Request) -> str:
    """Returns the URL that the client used, without a path. It is for a sample of a command, so an odd host is not."""
    host = request.headers.get("host", "")
    return f"{request.url.scheme}://{host if _HOST.fullmatch(host) else 'localhost'}"


def _calls(route: Route | None, here: str, token_url: str | None, *, secured: bool) -> str:
    """Returns samples of commands that get a token and call a method, by a `route` that needs no parameters."""
    parts = []
    if token_url is not None:
        text = "A token, by the password grant of OAuth 2.0. “Authorize” in the documentation gets one, too:"
        parts.append(f"<p>{text}</p>\n<pre>{escape(_SIGN_IN.format(url=urljoin(here, token_url)))}</pre>")
    elif secured:
        parts.append("<p>Send an access token as <code>authorization: Bearer …</code>.</p>")
    if route is not None:
        needs_token = secured and not route.method.policy.public
        call = f"curl {here}{route.template.text}{_BEARER if needs_token else ''}"
        parts.append(f"<p>{escape(route.method.name)}:</p>\n<pre>{escape(call)}</pre>")
    return "\n".join(parts)


def _simple(routes: Sequence[Route]) -> Route | None:
    """Returns a route that needs no parameters: its URL is a whole call. It is one that every token may call, if there
    is one among the first, else a public one.
    """
    literal = (each for each in routes if each.http_method == "GET" and all(each.template.literal))
    unary = islice((each for each in literal if not each.method.streams), _CANDIDATES_MAX)
    return next((each for each in sorted(unary, key=_privilege) if _is_whole(each)), None)


def _privilege(route: Route) -> int:
    """Returns what a caller of a route needs: 0 a token, 1 nothing, so that a sample shows no use of a token, or 2 a
    scope, which the reader may not have.
    """
    policy = route.method.policy
    return 1 if policy.public else 2 if policy.scopes else 0


def _is_whole(route: Route) -> bool:
    return all(FieldBehavior.REQUIRED not in behaviors(field) for field in route.method.desc.input.fields)
