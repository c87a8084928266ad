"""The pages /docs and /redoc, which load local files only: Swagger UI and ReDoc from the package fastapi-offline."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from importlib.resources import files
from typing import Final
from urllib.parse import quote, urlencode

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from edge.app.html_page import html_page
from edge.openapi.document import CACHED_MAX, Documents
from edge.openapi.reading_view import reading_view

ASSETS: Final = "/docs/assets"
SWAGGER_UI: Final = "/docs"
SIGNED_IN: Final = f"{SWAGGER_UI}/oauth2-redirect.html"
"""The page that the issuer redirects to, in a window that /docs opened."""

CLIENT: Final = "docs"
"""The identifier of /docs as a client of the issuer."""

REDOC: Final = "/redoc"
DOCS: Final = (SWAGGER_UI, REDOC)
OPENAPI: Final = "/openapi.json"
SERVICE: Final = "service"
VIEW: Final = "view"
READING: Final = "reading"
STYLE: Final = f"{ASSETS}/pages.css"

_PACKAGES: Final = ("fastapi_offline", "edge.app")
_REDOC_SCRIPT: Final = "redoc.standalone.js"
# ReDoc shows the logo of its vendor from the vendor's host.
_FOREIGN_LOGO: Final = (b"https://cdn.redoc.ly/redoc/logo-mini.svg", b"data:,")

_SWAGGER_UI_BODY: Final = """\
<nav class="bar"><a href="{base}/">Start</a> <a href="{base}/redoc">Reference</a> <a href="{openapi}">OpenAPI</a></nav>
<div id="swagger-ui"></div>
<script src="{assets}/swagger-ui-bundle.js"></script>
<script src="{assets}/docs.js" data-document="{document}"{sign_in}></script>"""
_REDOC_BODY: Final = """\
<div id="redoc"></div>
<script src="{assets}/redoc.standalone.js"></script>
<script src="{assets}/redoc.js" data-document="{document}"></script>"""
_BODIES: Final = {SWAGGER_UI: _SWAGGER_UI_BODY, REDOC: _REDOC_BODY}
_STYLES: Final = {SWAGGER_UI: ("swagger-ui.css", "docs.css"), REDOC: ("redoc.css",)}

_SIGNED_IN_BODY: Final = """\
<h1>Signing in</h1>
<p id="state">This window closes by itself.</p>
<script src="{assets}/oauth2-redirect.js"></script>"""

_LIST: Final = """\
<h1>{title}</h1>
<p>The <a href="{openapi}">list of services</a> as JSON names the OpenAPI document of each.</p>
{packages}"""


@dataclass(frozen=True, slots=True)
class SignIn:
    """The sign-in of the pages: at `token_url`, "" if there is none, by a code of `issuer` or otherwise by a password.
    An unknown issuer is "".
    """

    token_url: str
    by_code: bool
    issuer: str

    def attributes(self, base: str) -> str:
        """Returns the attributes that tell the script of /docs, which is below `base`, how to sign in by a code."""
        if not self.by_code:
            return ""
        is_url = self.issuer.startswith(("https://", "http://"))
        issuers = f"{self.issuer.rstrip('/')}{base}{SWAGGER_UI}" if is_url else ""
        return f' data-client="{CLIENT}" data-redirect="{base}{SIGNED_IN}" data-issuer="{escape(issuers)}"'


def add_docs(app: FastAPI, documents: Documents, sign_in: SignIn) -> None:
    """Adds the pages, their assets and the OpenAPI documents to the application."""
    app.add_route(f"{ASSETS}/{_REDOC_SCRIPT}", _redoc_script)
    app.mount(ASSETS, StaticFiles(packages=[(package, "static") for package in _PACKAGES]))
    app.add_route(OPENAPI, _openapi(documents))
    for path in DOCS:
        app.add_route(path, _page(documents, path, app.title, sign_in))
    app.add_route(SIGNED_IN, _signed_in(app.title))


def asset_names() -> list[str]:
    """Returns the names of the files below ASSETS, which the pages load."""
    return sorted(file.name for package in _PACKAGES for file in (files(package) / "static").iterdir())


async def _redoc_script(_: Request) -> Response:
    return Response(await asyncio.to_thread(_redoc), media_type="text/javascript")


@lru_cache
def _redoc() -> bytes:
    return (files(_PACKAGES[0]) / "static" / _REDOC_SCRIPT).read_bytes().replace(*_FOREIGN_LOGO)


def _openapi(documents: Documents) -> Callable[[Request], Awaitable[Response]]:
    view_of = lru_cache(CACHED_MAX)(reading_view)

    async def serve(request: Request) -> Response:
        document = await documents.json(_service(request, documents))
        if request.query_params.get(VIEW) == READING:
            document = await asyncio.to_thread(view_of, document)
        return Response(document, media_type="application/json")

    return serve


def _page(documents: Documents, path: str, title: str, sign_in: SignIn) -> Callable[[Request], Awaitable[Response]]:
    """Returns the handler of a page, which shows a document, or the list of services if the documents are split."""

    async def serve(request: Request) -> Response:
        service = _service(request, documents)
        base = request.scope["root_path"]
        if documents.are_split and not service:
            return html_page(title, _list(documents, base, path, title), [base + STYLE])
        return _viewer(base, path, service, title, sign_in)

    return serve


def _viewer(base: str, path: str, service: str, title: str, sign_in: SignIn) -> HTMLResponse:
    """Returns a page whose scripts show the document of a service, or of all if it is ""."""
    query = {SERVICE: service} if service else {}
    openapi = escape(f"{base}{OPENAPI}{'?' if query else ''}{urlencode(query)}")
    document = escape(f"{base}{OPENAPI}?{urlencode({**query, VIEW: READING})}")
    body = _BODIES[path].format(
        base=base, openapi=openapi, document=document, assets=base + ASSETS, sign_in=sign_in.attributes(base)
    )
    head = f'<link rel="service-desc" type="application/json" href="{openapi}">'
    styles = [f"{base}{ASSETS}/{name}" for name in _STYLES[path]]
    return html_page(title, body, styles, head=head, calls=sign_in.token_url)


def _signed_in(title: str) -> Callable[[Request], Awaitable[Response]]:
    """Returns the handler of the page that the issuer redirects to."""

    async def serve(request: Request) -> Response:
        base = request.scope["root_path"]
        return html_page(title, _SIGNED_IN_BODY.format(assets=base + ASSETS), [base + STYLE])

    return serve


def _service(request: Request, documents: Documents) -> str:
    """Returns the service in the query, "" for all. Raises HTTPException 404 if it does not exist."""
    service = request.query_params.get(SERVICE, "")
    if service and service not in documents.services:
        raise HTTPException(404)
    return service


def _list(documents: Documents, base: str, path: str, title: str) -> str:
    """Returns a page that lists the services by package."""
    by_package: dict[str, list[str]] = {}
    for name, count in documents.services.items():
        package, _, short = name.rpartition(".")
        link = f'<a href="{base}{path}?{SERVICE}={quote(name)}">{escape(short)}</a> <small>{count}</small>'
        by_package.setdefault(package, []).append(f"<li>{link}</li>")
    packages = "\n".join(
        f"<h2>{escape(package)}</h2>\n<ul>{''.join(links)}</ul>" for package, links in sorted(by_package.items())
    )
    return _LIST.format(title=escape(title), openapi=base + OPENAPI, packages=packages)
