"""The access tokens of the client package for Python."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import grpclib.server
import pytest
from betterproto2.grpclib.grpclib_server import ServiceBase
from grpclib import GRPCError, Status
from grpclib.const import Cardinality, Handler
from meshwright_client import TokenRefused, Tokens, authorized_channel
from meshwright_client.meshwright.catalog.v1 import CatalogServiceStub, ImportProductsRequest, ImportProductsResponse
from meshwright_client.meshwright.information.v1 import GetInformationRequest, Information, InformationServiceStub
from meshwright_client.meshwright.orders.v1 import OrdersServiceStub, WatchOrderRequest, WatchOrderResponse

from local.ports import free_port

Form = dict[str, str]


class Issuer(ThreadingHTTPServer):
    """A token endpoint that numbers its tokens and remembers the requests. The `responses` go first, as they are."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), IssuerHandler)
        self.forms: list[Form] = []
        self.authorizations: list[str | None] = []
        self.lifetime_s = 3600
        self.refuses: set[str] = set()
        self.gives_refresh_tokens = True
        self.responses: list[bytes] = []
        self.may_respond = threading.Event()
        self.may_respond.set()

    @property
    def url(self) -> str:
        """Returns the URL of the endpoint."""
        return f"http://127.0.0.1:{self.server_port}/token"

    def answer(self, form: Form) -> tuple[int, dict[str, object]]:
        """Returns the status and the body for a request."""
        self.forms.append(form)
        if form["grant_type"] in self.refuses:
            return 400, {"error": "invalid_grant", "error_description": "It is wrong."}
        number = len(self.forms)
        token: dict[str, object] = {"access_token": f"token-{number}", "expires_in": self.lifetime_s}
        return 200, token | ({"refresh_token": f"refresh-{number}"} if self.gives_refresh_tokens else {})


class IssuerHandler(BaseHTTPRequestHandler):
    """The requests to an Issuer."""

    server: Issuer

    def do_POST(self) -> None:
        """Answers a request for a token."""
        form = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
        self.server.authorizations.append(self.headers["authorization"])
        status, body = self.server.answer(form)
        self.server.may_respond.wait(30)
        if self.server.responses:
            self.wfile.write(self.server.responses.pop(0))
            return
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Logs nothing."""


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """A token endpoint at a port of its own."""
    with Issuer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_a_token_serves_until_it_expires(issuer: Issuer) -> None:
    """The endpoint is called once."""
    tokens = Tokens.by_password(issuer.url, "ada@example.com", "secret & more", scope="profile")
    assert [await tokens.access_token() for _ in range(3)] == ["token-1"] * 3
    password = {"grant_type": "password", "username": "ada@example.com", "password": "secret & more"}
    assert issuer.forms == [password | {"scope": "profile"}]


async def test_concurrent_callers_share_a_request(issuer: Issuer) -> None:
    """Concurrent callers wait for the same request for a token."""
    tokens = Tokens.by_password(issuer.url, "ada@example.com", "secret")
    assert await asyncio.gather(*(tokens.access_token() for _ in range(5))) == ["token-1"] * 5


async def test_concurrent_callers_share_a_refusal(issuer: Issuer) -> None:
    """A wrong password is sent once, because each attempt counts towards a lockout."""
    issuer.refuses = {"password"}
    tokens = Tokens.by_password(issuer.url, "ada@example.com", "wrong")
    results = await asyncio.gather(*(tokens.access_token() for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [TokenRefused] * 5
    assert len(issuer.forms) == 1


async def test_a_caller_that_gives_up_leaves_the_token_to_the_next(issuer: Issuer) -> None:
    """Callers that are more impatient than the endpoint is slow get a token nevertheless."""
    issuer.may_respond.clear()
    tokens = Tokens.by_password(issuer.url, "ada@example.com", "secret")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(tokens.access_token(), 0.1)
    issuer.may_respond.set()
    assert await tokens.access_token() == "token-1"
    assert len(issuer.forms) == 1


async def test_an_expired_token_is_refreshed(issuer: Issuer) -> None:
    """Each refresh token is used once, for the next token."""
    issuer.lifetime_s = 0
    tokens = Tokens.by_password(issuer.url, "ada@example.com", "secret")
    assert [await tokens.access_token() for _ in range(3)] == ["token-1", "token-2", "token-3"]
    assert [form.get("refresh_token") for form in issuer.forms] == [None, "refresh-1", "refresh-2"]


async def test_a_refused_refresh_signs_in_again(issuer: Issuer) -> None:
    """A sign-in that was ended elsewhere is replaced by a new one."""
    issuer.lifetime_s = 0
    issuer.refuses = {"refresh_token"}
    tokens = Tokens.by_password(issuer.url, "ada@example.com", "secret")
    await tokens.access_token()
    assert await tokens.access_token() == "token-3"
    assert [form["grant_type"] for form in issuer.forms] == ["password", "refresh_token", "password"]


async def test_a_workload_authenticates_itself(issuer: Issuer) -> None:
    """Name and secret go by HTTP Basic, form-encoded as RFC 6749 wants it, and again for the next token."""
    issuer.lifetime_s, issuer.gives_refresh_tokens = 0, False
    tokens = Tokens.by_client_credentials(issuer.url, "a b", "s:cret")
    assert [await tokens.access_token(), await tokens.access_token()] == ["token-1", "token-2"]
    assert issuer.forms == [{"grant_type": "client_credentials"}] * 2
    assert issuer.authorizations == ["Basic YStiOnMlM0FjcmV0"] * 2  # a+b:s%3Acret


async def test_a_refusal_is_raised(issuer: Issuer) -> None:
    """The error has the code and the description of the endpoint."""
    issuer.refuses = {"password"}
    with pytest.raises(TokenRefused, match=r"invalid_grant: It is wrong\.") as caught:
        await Tokens.by_password(issuer.url, "ada@example.com", "wrong").access_token()
    assert (caught.value.error, caught.value.description) == ("invalid_grant", "It is wrong.")


async def test_an_endpoint_that_is_not_there_is_an_os_error() -> None:
    """An unreachable token endpoint raises OSError, which callers can distinguish from a rejection."""
    with pytest.raises(OSError, match="refused"):
        await Tokens.by_password("http://127.0.0.1:1/token", "ada@example.com", "secret").access_token()


def response(status: str, body: str, length: int | None = None) -> bytes:
    """Returns an HTTP response, by default with the length that its body has."""
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\ncontent-length: {size}\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    "wrong",
    [
        response("200 OK", "<html>Welcome</html>"),
        response("200 OK", "").replace(b"content-length: 0\r\n\r\n", b"content-length: 1\r\n\r\n\xff"),
        response("200 OK", '["token"]'),
        response("200 OK", '{"expires_in": 60}'),
        response("200 OK", '{"access_token": null}'),
        response("200 OK", '{"access_token": ""}'),
        response("200 OK", '{"access_token": "a"}', length=100),
        b"SMTP ready\r\n\r\n",
        response("404 Not Found", '{"error": {"code": 404, "message": "There is no such method."}}'),
        response("404 Not Found", '"error"'),
        response("502 Bad Gateway", '{"error": "invalid_grant"}', length=100),
        response("502 Bad Gateway", "<html></html>"),
    ],
)
async def test_a_response_that_is_none_of_oauth_is_an_os_error(issuer: Issuer, wrong: bytes) -> None:
    """It is neither a token nor a refusal, and a refresh that gets it is not taken for a refused one."""
    issuer.lifetime_s = 0
    tokens = Tokens.by_password(issuer.url, "ada@example.com", "secret")
    await tokens.access_token()
    issuer.responses = [wrong]
    with pytest.raises(OSError, match=r"HTTP|access token"):
        await tokens.access_token()
    assert [form["grant_type"] for form in issuer.forms] == ["password", "refresh_token"]
    assert await tokens.access_token() == "token-3"


@pytest.mark.parametrize("expires_in", ["", ', "expires_in": null', ', "expires_in": "soon"', ', "expires_in": 1e999'])
async def test_a_token_without_a_lifetime_serves_for_more_than_a_call(issuer: Issuer, expires_in: str) -> None:
    """`expires_in` may be missing (RFC 6749, section 5.1), and a null instead of a refresh token is none."""
    issuer.responses = [response("200 OK", f'{{"access_token": "a", "refresh_token": null{expires_in}}}')]
    tokens = Tokens.by_password(issuer.url, "ada@example.com", "secret")
    assert [await tokens.access_token() for _ in range(3)] == ["a"] * 3
    tokens.forget("a")
    assert await tokens.access_token() == "token-2"
    assert [form["grant_type"] for form in issuer.forms] == ["password", "password"]


async def test_a_refusal_has_a_description_only_if_it_is_text(issuer: Issuer) -> None:
    """An `error_description` of another type is left out."""
    issuer.responses = [response("400 Bad Request", '{"error": "invalid_grant", "error_description": ["no"]}')]
    with pytest.raises(TokenRefused, match=r"^invalid_grant$"):
        await Tokens.by_password(issuer.url, "ada@example.com", "secret").access_token()


class RejectingService(ServiceBase):
    """Methods of three kinds, which reject the first token that they are sent."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def check_token(self, stream: "grpclib.server.Stream[Any, Any]") -> None:
        """Raises UNAUTHENTICATED for the first token."""
        assert stream.metadata is not None
        self.seen.append(str(stream.metadata["authorization"]))
        if self.seen[-1] == self.seen[0]:
            raise GRPCError(Status.UNAUTHENTICATED, "The token was revoked.")

    async def get_information(self, stream: "grpclib.server.Stream[GetInformationRequest, Information]") -> None:
        """Answers a call."""
        await stream.recv_message()
        self.check_token(stream)
        await stream.send_message(Information(text="42"))

    async def watch_order(self, stream: "grpclib.server.Stream[WatchOrderRequest, WatchOrderResponse]") -> None:
        """Responds, and ends the stream with its token."""
        await stream.recv_message()
        await stream.send_message(WatchOrderResponse(resume_token="1"))
        self.check_token(stream)

    async def import_products(
        self, stream: "grpclib.server.Stream[ImportProductsRequest, ImportProductsResponse]"
    ) -> None:
        """Responds before the client has sent its messages."""
        self.check_token(stream)
        await stream.send_message(ImportProductsResponse(created_count=1))

    def __mapping__(self) -> dict[str, Handler]:
        """Returns the handlers of the methods."""
        return {
            "/meshwright.information.v1.InformationService/GetInformation": Handler(
                self.get_information, Cardinality.UNARY_UNARY, GetInformationRequest, Information
            ),
            "/meshwright.orders.v1.OrdersService/WatchOrder": Handler(
                self.watch_order, Cardinality.UNARY_STREAM, WatchOrderRequest, WatchOrderResponse
            ),
            "/meshwright.catalog.v1.CatalogService/ImportProducts": Handler(
                self.import_products, Cardinality.STREAM_UNARY, ImportProductsRequest, ImportProductsResponse
            ),
        }


@pytest.fixture
async def service() -> AsyncIterator[tuple[RejectingService, int]]:
    """A service and its port."""
    service = RejectingService()
    server = grpclib.server.Server([service])
    port = free_port()
    await server.start("127.0.0.1", port)
    yield service, port
    server.close()
    await server.wait_closed()


async def test_a_channel_authorizes_its_calls(issuer: Issuer, service: tuple[RejectingService, int]) -> None:
    """Each call carries the token, and a rejected token is replaced before the next call."""
    rejecting, port = service
    async with authorized_channel("127.0.0.1", port, Tokens.by_password(issuer.url, "ada", "secret")) as channel:
        stub = InformationServiceStub(channel)
        with pytest.raises(GRPCError, match="revoked"):
            await stub.get_information(GetInformationRequest())
        for _ in range(2):
            assert (await stub.get_information(GetInformationRequest())).text == "42"
    assert rejecting.seen == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]


async def test_a_stream_that_several_tasks_read_replaces_its_token(
    issuer: Issuer, service: tuple[RejectingService, int]
) -> None:
    """The end of a stream may be read by another task than the one that opened it."""
    rejecting, port = service
    async with authorized_channel("127.0.0.1", port, Tokens.by_password(issuer.url, "ada", "secret")) as channel:
        stub = OrdersServiceStub(channel)
        responses = stub.watch_order(WatchOrderRequest(name="orders/1"))
        assert (await asyncio.ensure_future(anext(responses))).resume_token == "1"
        with pytest.raises(GRPCError, match="revoked"):
            await asyncio.ensure_future(anext(responses))
        async for response in stub.watch_order(WatchOrderRequest(name="orders/1")):
            assert response.resume_token == "1"
    assert rejecting.seen == ["Bearer token-1", "Bearer token-2"]


async def test_a_token_that_is_rejected_before_the_requests_end_is_replaced(
    issuer: Issuer, service: tuple[RejectingService, int]
) -> None:
    """A service that rejects a stream of requests resets it, while the client still sends."""
    rejecting, port = service

    async def endless() -> AsyncIterator[ImportProductsRequest]:
        while True:
            yield ImportProductsRequest()
            await asyncio.sleep(0.01)

    async with authorized_channel("127.0.0.1", port, Tokens.by_password(issuer.url, "ada", "secret")) as channel:
        stub = CatalogServiceStub(channel)
        with pytest.raises(GRPCError, match="revoked"):
            await stub.import_products(endless())
        assert (await stub.import_products([])).created_count == 1
    assert rejecting.seen == ["Bearer token-1", "Bearer token-2"]


async def test_the_timeout_of_a_call_includes_the_wait_for_its_token(
    issuer: Issuer, service: tuple[RejectingService, int]
) -> None:
    """A call whose token is late ends as any other late call does."""
    issuer.may_respond.clear()
    _, port = service
    async with authorized_channel("127.0.0.1", port, Tokens.by_password(issuer.url, "ada", "secret")) as channel:
        with pytest.raises(TimeoutError):
            await InformationServiceStub(channel).get_information(GetInformationRequest(), timeout=0.1)
    issuer.may_respond.set()
