"""Channels: retries, deadlines, tokens, and errors that reveal no internals."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc.aio
import pytest
from googleapis.google.rpc.status_pb import Status
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from protobuf.wkt import Any as Packed

from local.ports import free_port
from mesh.client import Channel
from mesh.errors import (
    BrokenResponse,
    Cancelled,
    Code,
    DeadlineExceeded,
    InvalidArgument,
    MeshError,
    MetadataTooLarge,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from mesh.identity import Caller
from mesh.rpc import WORKLOAD, Call, current_call
from mesh.rpc.status import DETAILS_TRAILER
from tests.given_token import GivenToken
from tests.issuer import Issuer
from tests.mesh.messages import NESTED
from tests.mesh.servers import channel_to, serving

NESTED_DEBUG = Packed(type_url="type.googleapis.com/google.rpc.DebugInfo", value=NESTED)


async def test_a_typed_call_returns_the_response(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """The generated client sends and receives messages of the contract."""

    async def handle(request: Any, _call: Call) -> Any:
        return greeter.pb.GreetResponse(text=f"HELLO {request.name}")

    async with serving(greeter, issuer, handle) as server, channel_to(server) as channel:
        answer = await greeter.grpc.GreeterServiceClient(channel).shout(greeter.pb.GreetRequest(name="ADA"))
    assert answer == greeter.pb.GreetResponse(text="HELLO ADA")


@pytest.mark.parametrize("error", [Unavailable, Cancelled])
@pytest.mark.parametrize(("method", "attempts"), [("greet", 3), ("shout", 1)])
async def test_only_idempotent_methods_are_retried(
    greeter: SimpleNamespace, issuer: Issuer, method: str, attempts: int, error: type[MeshError]
) -> None:
    """A call that may have had an effect is not repeated after any error."""
    tries = 0

    async def handle(_request: Any, _call: Call) -> Any:
        nonlocal tries
        tries += 1
        raise error("not now")

    tokens = GivenToken(issuer.token("workloads/robot"))
    async with serving(greeter, issuer, handle) as server, channel_to(server, tokens=tokens) as channel:
        client = greeter.grpc.GreeterServiceClient(channel)
        with pytest.raises(error, match="not now"):
            await getattr(client, method)(greeter.pb.GreetRequest(name="Ada"))
    assert tries == attempts


async def test_other_errors_are_not_retried(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A call is not repeated after an error that would be the same again."""
    tries = 0

    async def handle(_request: Any, _call: Call) -> Any:
        nonlocal tries
        tries += 1
        raise NotFound("nobody", reason="NOBODY")

    tokens = GivenToken(issuer.token("workloads/robot"))
    async with serving(greeter, issuer, handle) as server, channel_to(server, tokens=tokens) as channel:
        with pytest.raises(NotFound) as caught:
            await greeter.grpc.GreeterServiceClient(channel).greet(greeter.pb.GreetRequest(name="Ada"))
    assert (tries, caught.value.reason) == (1, "NOBODY")


@contextlib.asynccontextmanager
async def far_away(port: int, delay_s: float) -> AsyncIterator[int]:
    """Opens a port that forwards to another one, with a delay."""

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.closing(target):
            while piece := await source.read(65536):
                await asyncio.sleep(delay_s)
                target.write(piece)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, forth), carry(back, writer), return_exceptions=True)

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("in_mesh", [False, True])
async def test_a_call_names_the_workload_that_makes_it(greeter: SimpleNamespace, issuer: Issuer, in_mesh: bool) -> None:
    """A workload rejects a caller that its contract does not admit; in a service mesh, the mesh does."""

    async def handle(_request: Any, call: Call) -> Any:
        return greeter.pb.GreetResponse(text=call.metadata.get(WORKLOAD, "nobody"))

    tokens = GivenToken(issuer.token("workloads/robot"))
    request = greeter.pb.GreetRequest(name="Ada")
    async with serving(greeter, issuer, handle) as server:
        async with channel_to(server, tokens=tokens, caller="robot", in_mesh=in_mesh) as channel:
            answer = await greeter.grpc.GreeterServiceClient(channel).whisper(request)
            assert answer.text == ("nobody" if in_mesh else "robot")
        async with channel_to(server, tokens=tokens, caller="other") as channel:
            with pytest.raises(PermissionDenied, match="does not name 'other' among the callers"):
                await greeter.grpc.GreeterServiceClient(channel).whisper(request)


async def test_a_workload_may_be_far_away(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A call waits for a connection that takes long because of distance, TLS or load."""

    async def handle(_request: Any, _call: Call) -> Any:
        return greeter.pb.GreetResponse(text="hello")

    tokens = GivenToken(issuer.token("workloads/robot"))
    async with (
        serving(greeter, issuer, handle) as server,
        far_away(server.port, 0.2) as port,
        Channel("greeter", f"127.0.0.1:{port}", tokens=tokens) as channel,
    ):
        client = greeter.grpc.GreeterServiceClient(channel)
        answer = await client.whisper(greeter.pb.GreetRequest(name="Ada"), timeout_s=20)
    assert answer.text == "hello"


async def test_a_call_waits_for_a_workload_that_restarts(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """Even a call with effects may wait, because it is not sent before there is a connection."""

    async def handle(_request: Any, _call: Call) -> Any:
        return greeter.pb.GreetResponse(text="back")

    port, tokens = free_port(), GivenToken(issuer.token("workloads/robot"))
    async with Channel("greeter", f"127.0.0.1:{port}", tokens=tokens) as channel:
        client = greeter.grpc.GreeterServiceClient(channel)
        calling = asyncio.create_task(client.whisper(greeter.pb.GreetRequest(name="Ada"), timeout_s=20))
        await asyncio.sleep(0.05)
        async with serving(greeter, issuer, handle, port=port):
            answer = await calling
    assert answer.text == "back"


async def test_the_callers_token_travels_on(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A call made for a user carries the user's token; an internal call carries the token of this process."""
    seen: list[str] = []

    async def handle(_request: Any, call: Call) -> Any:
        seen.append(call.caller.subject)
        return greeter.pb.GreetResponse()

    user = Caller("users/ada", frozenset({"greet", "speak"}), issuer.token("users/ada", "greet speak"))
    own = GivenToken(issuer.token("workloads/robot"))
    async with serving(greeter, issuer, handle) as server, channel_to(server, tokens=own) as channel:
        client = greeter.grpc.GreeterServiceClient(channel)
        handled = current_call.set(Call("/test", user))
        await client.greet(greeter.pb.GreetRequest(name="Ada"))
        await client.whisper(greeter.pb.GreetRequest(name="Ada"))
        current_call.reset(handled)
        await client.greet(greeter.pb.GreetRequest(name="Ada"))
    assert seen == ["users/ada", "workloads/robot", "workloads/robot"]


async def test_a_call_made_while_another_is_handled_ends_with_it(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """The workload gets the contract's timeout, and is cancelled at the deadline of the call being handled."""
    remaining: list[float] = []
    cancelled = asyncio.Event()

    async def handle(_request: Any, call: Call) -> Any:
        remaining.append(call.remaining_s())
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(greeter, issuer, handle) as server, channel_to(server) as channel:
        await channel.check()
        while not remaining:  # a call may end before it is sent
            handled = current_call.set(Call("/test", deadline=asyncio.get_running_loop().time() + 0.1))
            with pytest.raises(DeadlineExceeded):
                await greeter.grpc.GreeterServiceClient(channel).shout(greeter.pb.GreetRequest(name="Ada"))
            current_call.reset(handled)
        await cancelled.wait()
    assert remaining[0] > 0.1


async def test_no_time_left_means_no_call(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """No call is sent after the deadline has passed."""

    async def handle(_request: Any, _call: Call) -> Any:
        raise AssertionError("reached")

    async with serving(greeter, issuer, handle) as server, channel_to(server) as channel:
        handled = current_call.set(Call("/test", deadline=0.0))
        with pytest.raises(DeadlineExceeded):
            await greeter.grpc.GreeterServiceClient(channel).shout(greeter.pb.GreetRequest(name="Ada"))
        current_call.reset(handled)


class SlowToken(GivenToken):
    """A token that arrives only after the deadline of the call being handled."""

    async def token(self) -> str:
        """Returns the token."""
        call = current_call.get()
        while call is not None and call.remaining_s():
            await asyncio.sleep(0.01)
        return await super().token()


async def test_the_time_left_is_that_after_the_token_has_arrived(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A call whose deadline passes while its token is fetched is not made."""

    async def handle(_request: Any, _call: Call) -> Any:
        raise AssertionError("reached")

    deadline = asyncio.get_running_loop().time() + 0.05
    tokens = SlowToken(issuer.token("workloads/robot"))
    async with serving(greeter, issuer, handle) as server, channel_to(server, tokens=tokens) as channel:
        handled = current_call.set(Call("/test", deadline=deadline))
        with pytest.raises(DeadlineExceeded):
            await greeter.grpc.GreeterServiceClient(channel).shout(greeter.pb.GreetRequest(name="Ada"))
        current_call.reset(handled)


async def test_a_workload_that_is_away_is_unavailable_without_its_address(greeter: SimpleNamespace) -> None:
    """The messages of gRPC's library, which hold addresses, are not passed on."""
    port = free_port()
    async with Channel("greeter", f"127.0.0.1:{port}") as channel:
        with pytest.raises(Unavailable) as caught:
            await greeter.grpc.GreeterServiceClient(channel).shout(greeter.pb.GreetRequest(name="Ada"))
        assert str(port) not in caught.value.message
        assert caught.value.retry_after_s
        with pytest.raises(Unavailable, match="can't be reached"):
            await channel.check()


async def test_a_restarted_workload_is_found_again(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A channel reconnects after its workload has restarted."""

    async def handle(_request: Any, _call: Call) -> Any:
        return greeter.pb.GreetResponse(text="back")

    async with serving(greeter, issuer, handle) as server:
        port = server.port
    async with Channel("greeter", f"127.0.0.1:{port}") as channel:
        client = greeter.grpc.GreeterServiceClient(channel)
        with pytest.raises(Unavailable):
            await client.shout(greeter.pb.GreetRequest(name="Ada"))
        async with serving(greeter, issuer, handle, port=port):
            while True:
                try:
                    answer = await client.shout(greeter.pb.GreetRequest(name="Ada"))
                    break
                except Unavailable:
                    await asyncio.sleep(0.02)
    assert answer.text == "back"


async def test_a_call_that_a_stopping_workload_did_not_accept_is_repeated() -> None:
    """Even a call with effects is repeated after GOAWAY, which proves that it was not begun (RFC 9113, section 6.8)."""
    leaves = iter([True, False])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                match event:
                    case RequestReceived() if next(leaves):
                        connection.close_connection(last_stream_id=0)
                        writer.write(connection.data_to_send())
                        writer.close()
                        return
                    case RequestReceived(stream_id=stream):
                        head = [(":status", "200"), ("content-type", "application/grpc")]
                        connection.send_headers(stream, head)
                        connection.send_data(stream, b"\0\0\0\0\0")
                        connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)
            writer.write(connection.data_to_send())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Channel("greeter", f"127.0.0.1:{port}") as channel:
            reply = await channel.unary("/greeter/Greet", b"", timeout_s=10)
    assert reply.message == b""


async def test_a_backend_without_details_is_understood(greeter: SimpleNamespace) -> None:
    """The bare status of another implementation keeps its code and message, unless the message may hold internals."""

    async def handle(request: bytes, context: Any) -> bytes:
        code, text = (
            (grpc.StatusCode.INVALID_ARGUMENT, "name: wrong") if request else (grpc.StatusCode.UNKNOWN, "at 0x")
        )
        await context.abort(code, text)
        return b""

    server = grpc.aio.server()
    method: Any = grpc.unary_unary_rpc_method_handler(handle)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("plain.Service", {"Do": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with Channel("plain", f"127.0.0.1:{port}") as channel:
        with pytest.raises(InvalidArgument, match="name: wrong"):
            await channel.unary("/plain.Service/Do", b"x", timeout_s=5)
        with pytest.raises(MeshError) as caught:
            await channel.unary("/plain.Service/Do", b"", timeout_s=5)
    await server.stop(None)
    assert (caught.value.code, caught.value.message) == (Code.UNKNOWN, "Internal error.")


@contextlib.asynccontextmanager
async def _answered_by(handle: Any, service: str, method: str) -> AsyncIterator[Channel]:
    """Yields a channel to another implementation, whose handler of one method gets and returns bytes."""
    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(handle)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with Channel("other", f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


@pytest.mark.parametrize("details", [NESTED, Status(code=5, details=[NESTED_DEBUG]).to_binary()])
async def test_an_error_whose_details_are_nested_too_deeply_keeps_its_code(details: bytes) -> None:
    """The parser gives up on them."""

    async def handle(_request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no", ((DETAILS_TRAILER, details),))
        return b""

    async with _answered_by(handle, "plain.Service", "Do") as channel:
        with pytest.raises(NotFound):
            await channel.unary("/plain.Service/Do", b"", timeout_s=5)


@pytest.mark.parametrize("response", [NESTED, b"\xff"])
async def test_a_response_that_cannot_be_parsed_is_broken(greeter: SimpleNamespace, response: bytes) -> None:
    """Also one that is nested too deeply for the parser."""

    async def handle(_request: bytes, _context: Any) -> bytes:
        return response

    async with _answered_by(handle, "greeter.v1.GreeterService", "Shout") as channel:
        with pytest.raises(BrokenResponse):
            await greeter.grpc.GreeterServiceClient(channel).shout(greeter.pb.GreetRequest(name="ADA"))


async def test_metadata_have_one_limit(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """All calls below the limit are accepted, and all above it are rejected with a message for the caller."""

    async def handle(_request: Any, _call: Call) -> Any:
        return greeter.pb.GreetResponse()

    path = "/greeter.v1.GreeterService/Shout"
    async with serving(greeter, issuer, handle) as server, channel_to(server) as channel:
        for _ in range(10):
            await channel.unary(path, b"\n\x01a", timeout_s=5, metadata=[("x-a", "a" * 15_000)])
            with pytest.raises(MetadataTooLarge, match="larger than the service accepts"):
                await channel.unary(path, b"", timeout_s=5, metadata=[("x-a", "a" * 8_000), ("x-b", "b" * 8_000)])
