"""The access tokens of the client package for Python."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

import grpclib.server
import pytest
from betterproto2.grpclib.grpclib_server import ServiceBase
from grpclib import GRPCError, Status
from grpclib.const import Cardinality, Handler
from meshwright_client import TokenRefused, Tokens, authorized_channel
from meshwright_client.meshwright.information.v1 import (
    GetInformationRequest,
    Information,
    InformationServiceStub,
)

from local.ports import free_port

Form = dict[str, str]


class Issuer(ThreadingHTTPServer):
    """A token endpoint that numbers its tokens and remembers the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), IssuerHandler)
        self.forms: list[Form] = []
        self.authorizations: list[str | None] = []
        self.lifetime_s = 3600
        self.refuses: set[str] = set()
        self.gives_refresh_tokens = True

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


class InformationService(ServiceBase):
    """A service that rejects the first token that it is sent."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def get_information(self, stream: "grpclib.server.Stream[GetInformationRequest, Information]") -> None:
        """Answers a call."""
        await stream.recv_message()
        assert stream.metadata is not None
        self.seen.append(str(stream.metadata["authorization"]))
        if self.seen[-1] == self.seen[0]:
            raise GRPCError(Status.UNAUTHENTICATED, "The token was revoked.")
        await stream.send_message(Information(text="42"))

    def __mapping__(self) -> dict[str, Handler]:
        """Returns the handler of the method."""
        name = "/meshwright.information.v1.InformationService/GetInformation"
        return {name: Handler(self.get_information, Cardinality.UNARY_UNARY, GetInformationRequest, Information)}


async def test_a_channel_authorizes_its_calls(issuer: Issuer) -> None:
    """Each call carries the token, and a rejected token is replaced before the next call."""
    service = InformationService()
    server = grpclib.server.Server([service])
    port = free_port()
    await server.start("127.0.0.1", port)
    async with authorized_channel("127.0.0.1", port, Tokens.by_password(issuer.url, "ada", "secret")) as channel:
        stub = InformationServiceStub(channel)
        with pytest.raises(GRPCError, match="revoked"):
            await stub.get_information(GetInformationRequest())
        for _ in range(2):
            assert (await stub.get_information(GetInformationRequest())).text == "42"
    server.close()
    await server.wait_closed()
    assert service.seen == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]
