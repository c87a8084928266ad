"""The pages /docs and /redoc, made of local files only: what they load comes from the package fastapi-offline."""

from collections.abc import Awaitable, Callable
from html import escape
from importlib.resources import files
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from edge.openapi.document import Document

ASSETS: Final = "/docs/assets"
OPENAPI: Final = "/openapi.json"

# The pages work on machines without a network, and must not tell others what is looked at here.
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "worker-src 'self' blob:; frame-ancestors 'none'"
)
_NO_ICON: Final = "data:,"


def add_docs(app: FastAPI, document: Document) -> None:
    """Adds the pages and what they show."""
    app.mount(ASSETS, StaticFiles(directory=str(files("fastapi_offline") / "static")))
    app.add_route(OPENAPI, _serve(lambda: document.json, "application/json"))
    app.add_route("/docs", _page(_swagger_ui(app.title)))
    app.add_route("/redoc", _page(_redoc(app.title)))


def _serve(make: Callable[[], bytes], media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(_: Request) -> Response:
        return Response(make(), media_type=media_type)

    return serve


def _page(html: HTMLResponse) -> Callable[[Request], Awaitable[Response]]:
    html.headers["content-security-policy"] = _POLICY

    async def page(_: Request) -> Response:
        return html

    return page


def _swagger_ui(title: str) -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url=OPENAPI,
        title=escape(title),
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=_NO_ICON,
        swagger_ui_parameters={"validatorUrl": None, "persistAuthorization": True, "docExpansion": "list"},
    )


def _redoc(title: str) -> HTMLResponse:
    return get_redoc_html(
        openapi_url=OPENAPI,
        title=escape(title),
        redoc_js_url=f"{ASSETS}/redoc.standalone.js",
        redoc_favicon_url=_NO_ICON,
        with_google_fonts=False,
    )
