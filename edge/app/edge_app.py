"""The FastAPI application: the contract's routes, the documentation and the operations pages.

The contract's routes have ASGI applications of their own, because FastAPI's routing and dependency injection cost more
than the rest of a call. FastAPI serves the few pages that are not in the contract.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as PageRoute

from edge.app.docs import OPENAPI, SignIn, add_docs
from edge.app.endpoint_factory import json_style
from edge.app.home import add_home, prefers_page
from edge.app.http_app import HttpApp
from edge.app.pages import PAGE_METHODS, Pages
from edge.app.routes import Routes
from edge.app.websocket_app import WebSocketApp
from edge.contract.authorization_endpoint import authorization_url as find_authorization_url
from edge.contract.contract import Contract
from edge.contract.token_endpoint import token_url as find_token_url
from edge.http.cors import Cors
from edge.http.errors import HttpError, render
from edge.httprule.router import MalformedPath, Match
from edge.openapi.document import Documents
from edge.settings import EdgeSettings
from mesh.errors import Internal


class EdgeApp(FastAPI):
    """The application that dispatches to HttpApp and WebSocketApp, or to FastAPI for the edge's own pages."""

    def __init__(
        self, contract: Contract, routes: Routes, settings: EdgeSettings, operations: Sequence[PageRoute]
    ) -> None:
        """`operations` are the operations pages, none if they are on another port."""
        super().__init__(title=settings.api_title, openapi_url=None, docs_url=None, redoc_url=None)
        cors = Cors(settings.cors_origins, settings.cors_max_age_s, settings.response_headers)
        self._websocket = WebSocketApp(routes.sockets, contract.registry, cors)
        self._http = HttpApp(routes.router, contract.registry, cors)
        secured = settings.jwks_url is not None
        token_url = settings.oauth_token_url or find_token_url(routes.served)
        # The page that another issuer has is not known.
        authorization_url = None if settings.oauth_token_url else find_authorization_url(routes.served)
        documents = Documents(
            routes.served,
            contract.registry,
            title=settings.api_title,
            secured=secured,
            token_url=token_url,
            authorization_url=authorization_url,
            style=json_style(settings),
            ignore_unknown=settings.ignore_unknown_fields,
            url=settings.pages_path + OPENAPI,
        )
        by_code = secured and token_url is not None and authorization_url is not None
        add_docs(self, documents, SignIn(token_url or "", by_code=by_code, issuer=settings.token_issuer))
        add_home(
            self,
            routes.served,
            contract.registry,
            secured=secured,
            token_url=token_url,
            links=settings.page_links,
            has_operations=settings.operations_on_port,
        )
        self.router.routes.extend(operations)
        self._pages = Pages.of(settings)
        self._contract_router = routes.router
        self.add_exception_handler(HTTPException, _http_exception)
        self.add_exception_handler(Exception, _exception)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] != "http":
            await super().__call__(scope, receive, send)
        elif (self._pages.include(scope["path"]) and not self._is_for_contract(scope)) or self._is_for_home(scope):
            await super().__call__({**scope, "root_path": self._pages.base}, receive, send)
        else:
            await self._http(scope, receive, send)

    def _is_for_home(self, scope: Any) -> bool:
        """Returns whether a request is for the page at /, which a route of the contract takes precedence over."""
        if scope["path"] != self._pages.home or scope["method"] not in PAGE_METHODS:
            return False
        accept = b",".join(value for name, value in scope["headers"] if name == b"accept")
        return prefers_page(accept) and not isinstance(self._contract_router.match("GET", self._pages.home), Match)

    def _is_for_contract(self, scope: Any) -> bool:
        """Returns whether a request to the URL of a page is for the contract, because the page has no such method."""
        method = scope["method"]
        if method in PAGE_METHODS:
            return False
        try:
            found = self._contract_router.match(method, scope["raw_path"].decode("latin-1"))
        except MalformedPath:
            return True  # HttpApp renders the error
        return isinstance(found, Match) or (method == "OPTIONS" and bool(found.allowed))


async def _http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "the handler is registered for these only"
    text = "This page does not support this method." if error.status_code == 405 else "There is nothing at this URL."
    reason = "METHOD_NOT_ALLOWED" if error.status_code == 405 else "ROUTE_NOT_FOUND"
    headers = [(name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()]
    return _response(*render(HttpError(error.status_code, text, reason, headers)))


async def _exception(_: Request, __: Exception) -> Response:
    return _response(*render(Internal("Internal error.")))


def _response(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> Response:
    return Response(body, status, {name.decode(): value.decode() for name, value in headers})
