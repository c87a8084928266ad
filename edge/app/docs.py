"""The pages /docs and /redoc, which load local files only, from the package fastapi-offline."""

from collections.abc import Awaitable, Callable
from html import escape
from importlib.resources import files
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from edge.openapi.document import Documents

ASSETS: Final = "/docs/assets"
DOCS: Final = ("/docs", "/redoc")
OPENAPI: Final = "/openapi.json"
SERVICE: Final = "service"

# The pages work without a network, and must not reveal to other hosts that somebody reads them.
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "worker-src 'self' blob:; frame-ancestors 'none'"
)
_NO_ICON: Final = "data:,"
_ASSETS_FOLDER: Final = files("fastapi_offline") / "static"

_LIST: Final = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<link rel="icon" href="data:,">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
h2 {{ font-size: 1rem; margin: 1.5rem 0 .25rem }}
ul {{ list-style: none; margin: 0; padding: 0 }}
small {{ color: #666 }}
</style></head>
<body><h1>{title}</h1>
<p>The <a href="{openapi}">list of services</a> as JSON names the OpenAPI document of each.</p>
{packages}
</body></html>
"""


def add_docs(app: FastAPI, documents: Documents) -> None:
    """Adds the pages, their assets and the OpenAPI documents to the application."""
    app.mount(ASSETS, StaticFiles(directory=str(_ASSETS_FOLDER)))
    app.add_route(OPENAPI, _openapi(documents))
    for path, page in zip(DOCS, (_swagger_ui, _redoc), strict=True):
        app.add_route(path, _page(documents, path, app.title, page))


def asset_names() -> list[str]:
    """Returns the names of the files below ASSETS, which the pages load."""
    return sorted(file.name for file in _ASSETS_FOLDER.iterdir())


def _openapi(documents: Documents) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return Response(await documents.json(_service(request, documents)), media_type="application/json")

    return serve


def _page(
    documents: Documents, path: str, title: str, page: Callable[[str, str, str], HTMLResponse]
) -> Callable[[Request], Awaitable[Response]]:
    """Returns the handler of a page, which shows a document, or the list of services if the documents are split."""

    async def serve(request: Request) -> Response:
        service = _service(request, documents)
        base = request.scope["root_path"]
        if documents.are_split and not service:
            html = HTMLResponse(_list(documents, base, path, title))
        else:
            html = page(base, f"{OPENAPI}?{SERVICE}={quote(service)}" if service else OPENAPI, title)
        html.headers["content-security-policy"] = _POLICY
        return html

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


def _swagger_ui(base: str, openapi_url: str, title: str) -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url=base + openapi_url,
        title=escape(title),
        swagger_js_url=f"{base}{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{base}{ASSETS}/swagger-ui.css",
        swagger_favicon_url=_NO_ICON,
        swagger_ui_parameters={
            "validatorUrl": None,
            "persistAuthorization": True,
            "docExpansion": "list",
            "defaultModelsExpandDepth": 0,
        },
    )


def _redoc(base: str, openapi_url: str, title: str) -> HTMLResponse:
    return get_redoc_html(
        openapi_url=base + openapi_url,
        title=escape(title),
        redoc_js_url=f"{base}{ASSETS}/redoc.standalone.js",
        redoc_favicon_url=_NO_ICON,
        with_google_fonts=False,
    )
