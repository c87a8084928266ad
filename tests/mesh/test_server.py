"""The gRPC server: what reaches a handler, and what a caller gets to know when something is wrong."""

import asyncio
from types import SimpleNamespace
from typing import Any

import grpc.aio
import pytest
from google.protobuf import descriptor_pb2
from googleapis.google.rpc.status_pb import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from mesh.errors import Code, FailedPrecondition, FieldViolation, InvalidArgument, MeshError
from mesh.rpc import Call
from mesh.rpc.status import DETAILS_TRAILER, from_status
from tests.issuer import Issuer
from tests.mesh.servers import plain_channel, serving

GREET, SHOUT, WHISPER = (f"/greeter.v1.GreeterService/{name}" for name in ("Greet", "Shout", "Whisper"))


class Failing:
    """A part of a process that can be broken and mended."""

    name = "part"

    def __init__(self) -> None:
        self.broken = True

    async def check(self) -> None:
        """Raises while it is broken."""
        if self.broken:
            raise RuntimeError("secret detail")


def unary(channel: grpc.aio.Channel, path: str) -> Any:
    """A method as a callable, bytes in and bytes out."""
    return channel.unary_unary(path)


async def failure(channel: grpc.aio.Channel, path: str, request: bytes, **call: Any) -> MeshError:
    """The error that a call ends with, read from its google.rpc.Status."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(channel, path)(request, **call)
    details = dict(caught.value.trailing_metadata() or ())[DETAILS_TRAILER]
    assert isinstance(details, bytes)
    return from_status(Status.from_binary(details))


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata that carries a token."""
    return (("authorization", f"Bearer {token}"),)


async def test_a_call_that_is_right_reaches_its_handler(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """The handler gets the parsed request, and knows its caller and deadline."""
    calls: list[Call] = []

    async def handle(request: Any, call: Call) -> Any:
        calls.append(call)
        return greeter.pb.GreetResponse(text=f"Hello {request.name}")

    request = greeter.pb.GreetRequest(name="Ada").to_binary()
    async with serving(greeter, issuer, handle) as server, plain_channel(server) as channel:
        token = issuer.token("users/ada", "greet speak")
        answer = await unary(channel, GREET)(request, metadata=bearer(token), timeout=60)
    assert greeter.pb.GreetResponse.from_binary(answer).text == "Hello Ada"
    assert (calls[0].caller.subject, calls[0].caller.scopes) == ("users/ada", frozenset({"greet", "speak"}))
    assert 0 < calls[0].remaining_s() <= 2, "the contract's timeout shortens the caller's"


@pytest.mark.parametrize(
    ("path", "subject", "scope", "expected"),
    [
        (GREET, None, "", ("UNAUTHENTICATED", "TOKEN_MISSING", {})),
        (GREET, "users/ada", "greet", ("PERMISSION_DENIED", "SCOPE_MISSING", {"scope": "speak"})),
        (GREET, "users/ada", "", ("PERMISSION_DENIED", "SCOPE_MISSING", {"scope": "greet speak"})),
        (GREET, "workloads/other", "", ("PERMISSION_DENIED", "SCOPE_MISSING", {"scope": "greet speak"})),
        (GREET, "workloads/robot", "", None),
        (SHOUT, None, "", None),
        (WHISPER, None, "", ("UNAUTHENTICATED", "TOKEN_MISSING", {})),
        (WHISPER, "users/ada", "greet speak", ("PERMISSION_DENIED", "CALLER_NOT_ALLOWED", {})),
        (WHISPER, "workloads/other", "", ("PERMISSION_DENIED", "CALLER_NOT_ALLOWED", {})),
        (WHISPER, "workloads/robot", "", None),
    ],
)
async def test_the_contract_decides_who_may_call(
    greeter: SimpleNamespace,
    issuer: Issuer,
    path: str,
    subject: str | None,
    scope: str,
    expected: tuple[str, str, dict[str, str]] | None,
) -> None:
    """Scopes for users, callers for workloads, nobody for internal methods, everybody for public ones."""

    async def handle(_request: Any, _call: Call) -> Any:
        return greeter.pb.GreetResponse(text="in")

    request = greeter.pb.GreetRequest(name="Ada").to_binary()
    metadata = bearer(issuer.token(subject, scope)) if subject else ()
    async with serving(greeter, issuer, handle) as server, plain_channel(server) as channel:
        if expected is None:
            answer = await unary(channel, path)(request, metadata=metadata)
            assert greeter.pb.GreetResponse.from_binary(answer).text == "in"
        else:
            error = await failure(channel, path, request, metadata=metadata)
            assert (error.code.name, error.reason, error.metadata) == expected


async def test_a_bad_token_is_refused_even_where_none_is_needed(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A caller who sends a token that is not good learns it, rather than being served as nobody."""
    async with serving(greeter, issuer, never) as server, plain_channel(server) as channel:
        forged = Issuer().token()
        for path in (GREET, SHOUT):
            error = await failure(channel, path, b"", metadata=bearer(forged))
            assert (error.code.name, error.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID")


async def never(_request: Any, _call: Call) -> Any:
    """A handler that must not be reached."""
    raise AssertionError("reached")


async def test_every_violation_is_listed(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A wrong request comes back with all that is wrong with it, before the handler runs."""
    async with serving(greeter, issuer, never) as server, plain_channel(server) as channel:
        error = await failure(channel, SHOUT, greeter.pb.GreetRequest(name="", times=4).to_binary())
    assert error.code.name == "INVALID_ARGUMENT"
    assert [violation.field for violation in error.violations] == ["name", "times"]


async def test_bytes_that_are_no_message_are_an_invalid_argument(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """Rubbish on the wire is the caller's fault and never an internal error."""
    async with serving(greeter, issuer, never) as server, plain_channel(server) as channel:
        for rubbish in (b"\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe", b"\x0b"):
            error = await failure(channel, SHOUT, rubbish)
            assert (error.code.name, error.reason) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE"), rubbish


async def test_an_error_of_the_vocabulary_arrives_whole(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """Code, message, reason, metadata, violations and retry time all cross the wire."""
    sent = FailedPrecondition(
        "The order is shipped.",
        reason="STATE",
        metadata={"state": "SHIPPED"},
        violations=[FieldViolation("name", "is shipped", "SHIPPED")],
        retry_after_s=1.25,
    )

    async def handle(_request: Any, _call: Call) -> Any:
        raise sent

    async with serving(greeter, issuer, handle) as server, plain_channel(server) as channel:
        got = await failure(channel, SHOUT, greeter.pb.GreetRequest(name="Ada").to_binary())
    assert type(got) is FailedPrecondition
    assert vars(got) == vars(sent)


async def test_what_breaks_in_a_handler_stays_inside(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """An unexpected exception is an INTERNAL error without a word of its text."""

    async def handle(_request: Any, _call: Call) -> Any:
        raise ValueError("password=hunter2")

    async with serving(greeter, issuer, handle) as server, plain_channel(server) as channel:
        error = await failure(channel, SHOUT, greeter.pb.GreetRequest(name="Ada").to_binary())
    assert (error.code.name, error.message) == ("INTERNAL", "Internal error.")


async def test_a_handler_that_is_too_slow_is_stopped(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """The contract's timeout ends the call with DEADLINE_EXCEEDED and cancels its handler."""
    stopped = asyncio.Event()

    async def handle(_request: Any, _call: Call) -> Any:
        try:
            await asyncio.sleep(3600)
        finally:
            stopped.set()

    async with serving(greeter, issuer, handle) as server, plain_channel(server) as channel:
        error = await failure(channel, SHOUT, greeter.pb.GreetRequest(name="Ada").to_binary())
        assert error.code.name == "DEADLINE_EXCEEDED"
        await stopped.wait()


async def test_a_timeout_inside_a_handler_is_not_the_callers(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A TimeoutError of something that the handler waited for is a fault of ours, not the caller's deadline."""

    async def handle(_request: Any, _call: Call) -> Any:
        raise TimeoutError

    async with serving(greeter, issuer, handle) as server, plain_channel(server) as channel:
        error = await failure(channel, SHOUT, greeter.pb.GreetRequest(name="Ada").to_binary())
    assert error.code.name == "INTERNAL"


async def test_health_tells_what_readiness_tells(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """grpc.health.v1 fails while a part of the process does, and recovers with it."""
    part = Failing()
    async with serving(greeter, issuer, never) as server, plain_channel(server) as channel:
        server.readiness.add(part)
        health: Any = health_pb2_grpc.HealthStub(channel)
        for name in ("", "greeter.v1.GreeterService"):
            part.broken = True
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
            part.broken = False
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_health_of_all_services_and_of_none(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """List has them all; Check of an unknown one is NOT_FOUND, and Watch says that it is unknown."""
    async with serving(greeter, issuer, never) as server, plain_channel(server) as channel:
        health_messages: Any = health_pb2  # its stubs do not know List yet
        health: Any = health_pb2_grpc.HealthStub(channel)
        listed = await health.List(health_messages.HealthListRequest())
        assert {name: answer.status for name, answer in listed.statuses.items()} == {
            "": health_pb2.HealthCheckResponse.SERVING,
            "greeter.v1.GreeterService": health_pb2.HealthCheckResponse.SERVING,
        }
        unknown = health_pb2.HealthCheckRequest(service="nobody.v1.Nobody")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health.Check(unknown)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        watching = health.Watch(unknown)
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watching.cancel()


async def test_who_watches_is_told_of_each_change_and_of_the_end(
    greeter: SimpleNamespace, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part fails and recovers, the server stops; a status is told once, and nobody holds the drain up."""
    monkeypatch.setattr("mesh.health.WATCH_EVERY_S", 0.01)
    part = Failing()
    stack = serving(greeter, issuer, never)
    server = await stack.__aenter__()
    async with plain_channel(server) as channel:
        server.readiness.add(part)
        health: Any = health_pb2_grpc.HealthStub(channel)
        watching = health.Watch(health_pb2.HealthCheckRequest())
        told = []
        for part.broken in (True, False):
            told.append((await watching.read()).status)
        stopping = asyncio.create_task(stack.__aexit__(None, None, None))
        told.append((await watching.read()).status)
        assert await watching.read() is grpc.aio.EOF
        await stopping
    status = health_pb2.HealthCheckResponse
    assert told == [status.NOT_SERVING, status.SERVING, status.NOT_SERVING]


async def test_reflection_describes_the_service(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A tool such as grpcurl can list the services and read their descriptors from the server alone."""
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="greeter.v1.GreeterService"),
    ]
    async with serving(greeter, issuer, never) as server, plain_channel(server) as channel:
        calls: Any = channel
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(calls)
        answers = [answer async for answer in stub.ServerReflectionInfo(iter(requests))]
    listed = {service.name for service in answers[0].list_services_response.service}
    assert listed == {
        "greeter.v1.GreeterService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(data)
        for data in answers[1].file_descriptor_response.file_descriptor_proto
    ]
    assert "greeter/v1/greeter.proto" in {file.name for file in files}


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_every_question_of_reflection_has_an_answer(
    greeter: SimpleNamespace, issuer: Issuer, version: str
) -> None:
    """Files by their name, by what they declare and by extensions; what is not there is NOT_FOUND. v1 is as v1alpha."""
    option: dict[str, Any] = {"containing_type": "google.protobuf.MethodOptions", "extension_number": 51820}
    questions: list[dict[str, Any]] = [
        {"file_by_filename": "greeter/v1/greeter.proto"},
        {"file_containing_symbol": "greeter.v1.GreetRequest.name"},
        {"file_containing_symbol": "grpc.reflection.v1.ServerReflection.ServerReflectionInfo"},
        {"file_containing_extension": option},
        {"all_extension_numbers_of_type": "google.protobuf.MethodOptions"},
        {"file_by_filename": "nothing.proto"},
        {"file_containing_symbol": "nothing.Nothing"},
        {"file_containing_extension": option | {"extension_number": 1}},
        {"all_extension_numbers_of_type": "nothing.Nothing"},
        {},
    ]
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    request_type, response_type = reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse
    async with serving(greeter, issuer, never) as server, plain_channel(server) as channel:
        ask: Any = channel.stream_stream(path, request_type.SerializeToString, response_type.FromString)
        answers = [answer async for answer in ask(iter([request_type(**question) for question in questions]))]
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(answer.file_descriptor_response.file_descriptor_proto[0]).name
        for answer in answers[:4]
    ]
    greeter_file, own = "greeter/v1/greeter.proto", "grpc_reflection/v1/reflection.proto"
    assert files == [greeter_file, greeter_file, own, "meshwright/policy/v1/policy.proto"]
    assert 51820 in answers[4].all_extension_numbers_response.extension_number
    assert [answer.error_response.error_code for answer in answers[5:]] == [5, 5, 5, 5, 3]
    assert [answer.original_request for answer in answers] == [request_type(**question) for question in questions]


async def test_a_drain_lets_calls_in_flight_finish(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """Stopping the server answers the call that it is working on."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def handle(_request: Any, _call: Call) -> Any:
        entered.set()
        await leave.wait()
        return greeter.pb.GreetResponse(text="done")

    metadata = bearer(issuer.token("workloads/robot"))
    stack = serving(greeter, issuer, handle)
    server = await stack.__aenter__()
    async with plain_channel(server) as channel:
        call = unary(channel, WHISPER)(greeter.pb.GreetRequest(name="Ada").to_binary(), metadata=metadata)
        await entered.wait()
        stopping = asyncio.create_task(stack.__aexit__(None, None, None))
        await asyncio.sleep(0)
        leave.set()
        assert greeter.pb.GreetResponse.from_binary(await call).text == "done"
        await stopping


async def test_connections_are_renewed(
    greeter: SimpleNamespace, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is asked to connect anew; what is on its way ends on the old connection."""
    monkeypatch.setattr("mesh.server.CONNECTION_AGE_S", 0.2)
    leave = asyncio.Event()

    async def handle(_request: Any, _call: Call) -> Any:
        await leave.wait()
        return greeter.pb.GreetResponse(text="done")

    metadata = bearer(issuer.token("workloads/robot"))
    async with serving(greeter, issuer, handle) as server, plain_channel(server) as channel:
        await channel.channel_ready()
        call = unary(channel, WHISPER)(greeter.pb.GreetRequest(name="Ada").to_binary(), metadata=metadata)
        await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        leave.set()
        assert greeter.pb.GreetResponse.from_binary(await call).text == "done"
        assert await unary(channel, WHISPER)(greeter.pb.GreetRequest(name="Ada").to_binary(), metadata=metadata)


async def test_a_port_in_use_is_said_in_a_sentence(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A second server on the port does not share it but says what to do."""
    async with serving(greeter, issuer, never) as server:
        with pytest.raises(MeshError, match=f"Can't listen on 127.0.0.1:{server.port}.*Set GRPC_PORT"):
            async with serving(greeter, issuer, never, port=server.port):
                pass


async def test_an_error_of_many_violations_arrives(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """However many fields are wrong, any client gets the error: what is too much for its metadata is left out."""
    violations = [FieldViolation(f"lines[{n}].quantity", "must be from 1 to 1000", "RANGE") for n in range(1000)]

    async def handle(request: Any, call: Call) -> Any:
        raise InvalidArgument("x" * 1000, violations=violations)

    request = greeter.pb.GreetRequest(name="Ada").to_binary()
    async with serving(greeter, issuer, handle) as server, plain_channel(server) as channel:
        errors = [await failure(channel, SHOUT, request) for _ in range(20)]
    assert {error.code for error in errors} == {Code.INVALID_ARGUMENT}
    assert errors[0].violations == tuple(violations[: len(errors[0].violations)])
    assert len(errors[0].violations) > 50
