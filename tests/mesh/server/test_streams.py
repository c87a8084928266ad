"""Streaming methods, from the typed client to the typed handler and back, over real connections."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, Final

import grpc.aio
import pytest
from structlog.testing import capture_logs

from mesh.errors import Code, InvalidArgument, MeshError, NotFound, Unavailable
from mesh.rpc import Call
from tests.issuer import Issuer
from tests.mesh.stream_service import Streams, serving

RECHECK_S: Final = 0.01


async def requests(greeter: SimpleNamespace, *names: str) -> AsyncIterator[Any]:
    """Yields the given requests."""
    for name in names:
        yield greeter.pb.GreetRequest(name=name)


async def test_a_stream_of_responses(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """The messages come in order, and the stream ends."""
    async with (
        serving(greeter, issuer, Streams(greeter)) as (_, client),
        client.count(greeter.pb.GreetRequest(name="Ada", times=3)) as responses,
    ):
        assert [response.text async for response in responses] == ["Ada 0", "Ada 1", "Ada 2"]


async def test_a_stream_of_requests_needs_the_contracts_scope(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """Without a token the first request is not read; with the scope, the response follows the last request."""
    async with serving(greeter, issuer, Streams(greeter)) as (server, client):
        with pytest.raises(MeshError) as caught:
            await client.sum(requests(greeter, "a", "b"))
        assert caught.value.reason == "TOKEN_MISSING"
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as plain:
            call: Any = plain.stream_unary("/greeter.v1.StreamService/Sum")(
                (request.to_binary() for request in [greeter.pb.GreetRequest(name=name) for name in "ab"]),
                metadata=(("authorization", f"Bearer {issuer.token('users/ada', 'greet')}"),),
            )
            answer = await call
    assert greeter.pb.GreetResponse.from_binary(answer).text == "a+b"


async def test_messages_both_ways_at_once(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """Each response arrives before the next request is sent."""
    async with serving(greeter, issuer, Streams(greeter)) as (_, client):
        queue: asyncio.Queue[str] = asyncio.Queue()

        async def asked() -> AsyncIterator[Any]:
            while name := await queue.get():
                yield greeter.pb.GreetRequest(name=name)

        async with client.echo(asked()) as responses:
            for name in ("a", "b"):
                queue.put_nowait(name)
                assert (await anext(responses)).text == name.upper()
            queue.put_nowait("")
            assert [response async for response in responses] == []


async def test_a_stream_that_is_to_be_audited_is_at_its_end(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """Once, however many messages it had. The record of one that failed says so: a part may be committed."""
    with capture_logs() as logs:
        async with serving(greeter, issuer, Streams(greeter)) as (_, client):
            async with client.echo(requests(greeter, "a", "b")) as responses:
                assert [response.text async for response in responses] == ["A", "B"]
            async with client.echo(requests(greeter, "")) as responses:
                with pytest.raises(InvalidArgument):
                    await anext(responses)
    changes = [log for log in logs if log.get("logger") == "audit"]
    assert [(log["event"], log["method"], log["outcome"]) for log in changes] == [
        ("change", "/greeter.v1.StreamService/Echo", "succeeded"),
        ("change", "/greeter.v1.StreamService/Echo", "failed"),
    ]


@pytest.mark.parametrize("cause", ["token", "client", "server", "handler"])
async def test_a_stream_of_requests_that_is_cut_off_is_audited(
    greeter: SimpleNamespace, issuer: Issuer, cause: str
) -> None:
    """It ends with its token, its client, the server, or an error after the first requests."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def add(requests: AsyncIterator[Any], _call: Call) -> Any:
        try:
            async for _ in requests:
                began.set()
                if cause == "handler":
                    raise NotFound("No such room.")
        finally:
            ended.set()

    lifetime_s = 2 if cause == "token" else 600
    with capture_logs() as logs:
        async with (
            asyncio.timeout(30),
            serving(greeter, issuer, Streams(greeter, sum=add)) as (server, _),
            grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as plain,
        ):
            await plain.channel_ready()
            token = issuer.token("users/ada", "greet", exp=time.time() + lifetime_s)
            call: Any = plain.stream_unary("/greeter.v1.StreamService/Sum")(
                metadata=(("authorization", f"Bearer {token}"),)
            )
            await call.write(greeter.pb.GreetRequest(name="a").to_binary())
            await began.wait()
            if cause == "client":
                call.cancel()
            if cause == "server":
                await server.__aexit__()
            await ended.wait()
    [change] = [log for log in logs if log.get("logger") == "audit"]
    assert (change["event"], change["account"], change["outcome"]) == ("change", "users/ada", "failed")


async def test_every_message_is_validated(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """The violation names the message; valid messages before it were handled."""
    async with (
        serving(greeter, issuer, Streams(greeter)) as (_, client),
        client.echo(requests(greeter, "a", "", "c")) as responses,
    ):
        assert (await anext(responses)).text == "A"
        with pytest.raises(InvalidArgument) as caught:
            await anext(responses)
    assert [violation.field for violation in caught.value.violations] == ["[1].name"]


async def test_an_error_after_messages_keeps_its_details(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """An error of a handler ends the stream with its status; a crash reveals no more than INTERNAL."""
    for failure, expected in (
        (NotFound("No such room.", reason="NO_ROOM"), (Code.NOT_FOUND, "No such room.", "NO_ROOM")),
        (ZeroDivisionError("secret"), (Code.INTERNAL, "Internal error.", "")),
    ):

        async def count(_request: Any, _call: Call, failure: Exception = failure) -> AsyncIterator[Any]:
            yield greeter.pb.GreetResponse(text="first")
            raise failure

        async with (
            serving(greeter, issuer, Streams(greeter, count=count)) as (_, client),
            client.count(greeter.pb.GreetRequest(name="Ada")) as responses,
        ):
            assert (await anext(responses)).text == "first"
            with pytest.raises(MeshError) as caught:
                await anext(responses)
        assert (caught.value.code, caught.value.message, caught.value.reason) == expected


async def test_leaving_early_ends_the_handler(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """If a client leaves a stream, its handler is cancelled and cleans up."""
    streams = Streams(greeter)

    async def endless() -> AsyncIterator[Any]:
        while True:
            yield greeter.pb.GreetRequest(name="again")
            await asyncio.sleep(0.01)

    async with serving(greeter, issuer, streams) as (_, client):
        async with client.echo(endless()) as responses:
            await anext(responses)
        async with asyncio.timeout(30):
            await streams.closed.wait()


async def test_a_slow_reader_slows_its_handler(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A handler gets no further ahead of its reader than the flow-control window."""
    made = 0

    async def count(_request: Any, _call: Call) -> AsyncIterator[Any]:
        nonlocal made
        while True:
            made += 1
            yield greeter.pb.GreetResponse(text="x" * 100_000)

    async with (
        serving(greeter, issuer, Streams(greeter, count=count)) as (_, client),
        client.count(greeter.pb.GreetRequest(name="Ada")) as responses,
    ):
        await anext(responses)
        seen = 0
        while seen != made:
            seen = made
            await asyncio.sleep(0.3)
        assert made < 1000


async def test_the_contracts_timeout_ends_a_stream(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A stream ends at the contract's timeout with DEADLINE_EXCEEDED, even if the client set no deadline."""
    async with (
        serving(greeter, issuer, Streams(greeter)) as (server, _),
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as plain,
    ):
        call: Any = plain.stream_stream("/greeter.v1.StreamService/Echo")()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_server_that_stops_ends_its_streams(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """Streams end with a status that suggests to reconnect, and unary calls still finish."""

    async def held() -> AsyncIterator[Any]:
        yield greeter.pb.GreetRequest(name="a")
        await asyncio.Event().wait()

    async with serving(greeter, issuer, Streams(greeter)) as (server, client), client.echo(held()) as responses:
        assert (await anext(responses)).text == "A"
        stopping = asyncio.create_task(server.__aexit__())
        with pytest.raises(Unavailable) as caught:
            await anext(responses)
        await stopping
    assert (caught.value.reason, caught.value.retry_after_s) == ("STREAM_DRAINED", 1.0)


async def test_a_stream_that_ends_while_its_first_message_is_sent(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """The status arrives although the server stops before the message that begins the stream has left."""
    began: asyncio.Future[asyncio.Task[None]] = asyncio.get_running_loop().create_future()

    async def count(_request: Any, _call: Call) -> AsyncIterator[Any]:
        began.set_result(asyncio.create_task(server.__aexit__()))
        yield greeter.pb.GreetResponse(text="x" * 2_000_000)  # more than the flow-control window
        await asyncio.Event().wait()

    async with (
        serving(greeter, issuer, Streams(greeter, count=count)) as (server, client),
        client.count(greeter.pb.GreetRequest(name="Ada")) as responses,
    ):
        with pytest.raises(Unavailable) as caught:
            _ = [response async for response in responses]
        await (await began)
    assert caught.value.reason == "STREAM_DRAINED"


@pytest.fixture
def expire_tokens(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Returns a function that sets the clock to a time when no token is valid any more, which is noticed soon."""
    monkeypatch.setattr("mesh.identity.verifier.RECHECK_S", RECHECK_S)

    def expire() -> None:
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 24 * 3600)

    return expire


async def test_a_stream_of_requests_ends_with_its_users_token(
    greeter: SimpleNamespace, issuer: Issuer, expire_tokens: Callable[[], None]
) -> None:
    """When the token expires, a client that still sends gets the error of calls with it."""
    began = asyncio.Event()

    async def add(requests: AsyncIterator[Any], _call: Call) -> Any:
        async for _ in requests:
            began.set()

    async with (
        asyncio.timeout(30),
        serving(greeter, issuer, Streams(greeter, sum=add)) as (server, _),
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as plain,
    ):
        call: Any = plain.stream_unary("/greeter.v1.StreamService/Sum")(
            metadata=(("authorization", f"Bearer {issuer.token('users/ada', 'greet')}"),)
        )
        await call.write(greeter.pb.GreetRequest(name="a").to_binary())
        await began.wait()  # the token was valid at the admission, which rejects with the same error
        expire_tokens()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
    assert caught.value.details() == "The access token has expired. Get a new one."


async def test_a_stream_ends_with_its_users_token(
    greeter: SimpleNamespace, issuer: Issuer, expire_tokens: Callable[[], None]
) -> None:
    """When the token expires, an open stream ends with the error of calls with it; a workload keeps its stream."""
    go_on = asyncio.Event()

    async def count(_request: Any, _call: Call) -> AsyncIterator[Any]:
        yield greeter.pb.GreetResponse(text="first")
        await go_on.wait()
        yield greeter.pb.GreetResponse(text="last")

    async with (
        asyncio.timeout(30),
        serving(greeter, issuer, Streams(greeter, count=count)) as (server, _),
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as plain,
    ):

        async def call(subject: str) -> Any:
            call: Any = plain.unary_stream("/greeter.v1.StreamService/Count")(
                greeter.pb.GreetRequest(name="a").to_binary(),
                metadata=(("authorization", f"Bearer {issuer.token(subject, 'greet')}"),),
            )
            assert greeter.pb.GreetResponse.from_binary(await call.read()).text == "first"
            return call

        workload, user = await call("workloads/edge"), await call("users/ada")
        expire_tokens()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await user.read()
        assert caught.value.details() == "The access token has expired. Get a new one."
        await asyncio.sleep(5 * RECHECK_S)  # in which the workload's stream would end, too
        go_on.set()
        assert greeter.pb.GreetResponse.from_binary(await workload.read()).text == "last"
