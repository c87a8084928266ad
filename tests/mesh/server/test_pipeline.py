"""The pipeline of a method: the calls that reach a handler, and the errors that callers get."""

import asyncio
from types import SimpleNamespace
from typing import Any

import grpc.aio
import pytest
from googleapis.google.rpc.status_pb import Status
from structlog.testing import capture_logs

from mesh.errors import Code, FailedPrecondition, FieldViolation, InvalidArgument, MeshError
from mesh.http2 import frames
from mesh.rpc import WORKLOAD, Call
from mesh.rpc.status import DETAILS_TRAILER, from_status
from tests.issuer import Issuer
from tests.mesh.http2.scripted import data
from tests.mesh.http2.server.scripted import client_of, fields, head
from tests.mesh.servers import GREET, SHOUT, WHISPER, bearer, never, plain_channel, serving, unary


async def failure(channel: grpc.aio.Channel, path: str, request: bytes, **call: Any) -> MeshError:
    """Returns the error of a call, read from its google.rpc.Status."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(channel, path)(request, **call)
    details = dict(caught.value.trailing_metadata() or ())[DETAILS_TRAILER]
    assert isinstance(details, bytes)
    return from_status(Status.from_binary(details))


async def test_a_valid_call_reaches_its_handler(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """The handler gets the parsed request, the caller and the deadline."""
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


async def test_a_call_that_is_to_be_audited_is_once_it_has_succeeded(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """With its caller and the resource. Calls that fail, and those of other methods, are not."""

    async def handle(request: Any, _call: Call) -> Any:
        if request.name == "Eve":
            raise FailedPrecondition("Not now.")
        return greeter.pb.GreetResponse(text="in")

    ada, eve = [greeter.pb.GreetRequest(name=name).to_binary() for name in ("Ada", "Eve")]
    metadata = bearer(issuer.token("users/ada", "greet speak"))
    with capture_logs() as logs:
        async with serving(greeter, issuer, handle) as server, plain_channel(server) as channel:
            await failure(channel, SHOUT, eve, metadata=metadata)
            await unary(channel, SHOUT)(ada, metadata=metadata)
            await unary(channel, GREET)(ada, metadata=metadata)
    changes = [log for log in logs if log.get("logger") == "audit"]
    assert [(log["event"], log["account"], log["method"], log["resource"], log["outcome"]) for log in changes] == [
        ("change", "users/ada", SHOUT, "Ada", "succeeded")
    ]


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
    """Users need scopes, workloads must be named as callers, and public methods admit everybody."""

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
    """An invalid token is an error, even for a public method."""
    async with serving(greeter, issuer, never) as server, plain_channel(server) as channel:
        forged = Issuer().token()
        for path in (GREET, SHOUT):
            error = await failure(channel, path, b"", metadata=bearer(forged))
            assert (error.code.name, error.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID")


async def test_every_violation_is_listed(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """An invalid request is rejected with all violations before the handler runs."""
    async with serving(greeter, issuer, never) as server, plain_channel(server) as channel:
        error = await failure(channel, SHOUT, greeter.pb.GreetRequest(name="", times=4).to_binary())
    assert error.code.name == "INVALID_ARGUMENT"
    assert [violation.field for violation in error.violations] == ["name", "times"]


async def test_bytes_that_are_no_message_are_an_invalid_argument(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """Malformed bytes are INVALID_ARGUMENT, never an internal error."""
    async with serving(greeter, issuer, never) as server, plain_channel(server) as channel:
        for rubbish in (b"\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe", b"\x0b"):
            error = await failure(channel, SHOUT, rubbish)
            assert (error.code.name, error.reason) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE"), rubbish


async def test_an_error_of_the_vocabulary_arrives_whole(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """Code, message, reason, metadata, violations and retry delay reach the caller."""
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


async def test_an_unexpected_exception_reveals_nothing(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """An unexpected exception is INTERNAL, without its message."""

    async def handle(_request: Any, _call: Call) -> Any:
        raise ValueError("password=hunter2")

    async with serving(greeter, issuer, handle) as server, plain_channel(server) as channel:
        error = await failure(channel, SHOUT, greeter.pb.GreetRequest(name="Ada").to_binary())
    assert (error.code.name, error.message) == ("INTERNAL", "Internal error.")


async def test_a_handler_that_is_too_slow_is_stopped(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """At the contract's timeout the call ends with DEADLINE_EXCEEDED, and its handler is cancelled."""
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


@pytest.mark.parametrize("path", [GREET, SHOUT, WHISPER])
@pytest.mark.parametrize("workload", ["robot", "edge", "other", "robo", "", "*"])
async def test_a_workload_makes_only_the_calls_that_the_contract_allows(
    greeter: SimpleNamespace, issuer: Issuer, path: str, workload: str
) -> None:
    """Without a service mesh, too, and with any token, the edge may only call methods with a route, and other workloads
    those that name them.
    """

    async def handle(_request: Any, _call: Call) -> Any:
        return greeter.pb.GreetResponse(text="in")

    request = greeter.pb.GreetRequest(name="Ada").to_binary()
    metadata = ((WORKLOAD, workload), *bearer(issuer.token("workloads/robot", "greet speak")))
    may_call = {GREET: ("robot", "edge"), SHOUT: ("edge",), WHISPER: ("robot",)}[path]
    async with serving(greeter, issuer, handle) as server, plain_channel(server) as channel:
        if workload in may_call:
            assert await unary(channel, path)(request, metadata=metadata)
        else:
            error = await failure(channel, path, request, metadata=metadata)
            assert (error.code.name, error.reason) == ("PERMISSION_DENIED", "CALLER_NOT_ALLOWED")


async def test_the_name_of_a_workload_gives_no_right(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A forged name does not replace the token of an authorised caller."""
    request = greeter.pb.GreetRequest(name="Ada").to_binary()
    metadata = ((WORKLOAD, "robot"), *bearer(issuer.token("users/ada", "greet speak")))
    async with serving(greeter, issuer, never) as server, plain_channel(server) as channel:
        error = await failure(channel, WHISPER, request, metadata=metadata)
        assert (error.code.name, error.reason) == ("PERMISSION_DENIED", "CALLER_NOT_ALLOWED")
        error = await failure(channel, WHISPER, request, metadata=((WORKLOAD, "robot"),))
        assert (error.code.name, error.reason) == ("UNAUTHENTICATED", "TOKEN_MISSING")


async def test_a_timeout_inside_a_handler_is_not_the_callers(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A TimeoutError of something that the handler waited for is an internal error, not the caller's deadline."""

    async def handle(_request: Any, _call: Call) -> Any:
        raise TimeoutError

    async with serving(greeter, issuer, handle) as server, plain_channel(server) as channel:
        error = await failure(channel, SHOUT, greeter.pb.GreetRequest(name="Ada").to_binary())
    assert error.code.name == "INTERNAL"


async def test_an_error_of_many_violations_arrives(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """An error with many violations reaches every client; those that do not fit into metadata are left out."""
    violations = [FieldViolation(f"lines[{n}].quantity", "must be from 1 to 1000", "RANGE") for n in range(1000)]

    async def handle(request: Any, call: Call) -> Any:
        raise InvalidArgument("x" * 1000, violations=violations)

    request = greeter.pb.GreetRequest(name="Ada").to_binary()
    async with serving(greeter, issuer, handle) as server, plain_channel(server) as channel:
        errors = [await failure(channel, SHOUT, request) for _ in range(20)]
    assert {error.code for error in errors} == {Code.INVALID_ARGUMENT}
    assert errors[0].violations == tuple(violations[: len(errors[0].violations)])
    assert len(errors[0].violations) > 50


async def test_a_damaged_request_is_its_clients_fault(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """Operators are alerted of INTERNAL."""
    damaged = b"\1\0\0\0\4abcd"
    async with serving(greeter, issuer, never) as server, client_of(server.port) as client:
        client.send(head(1, fields(path=SHOUT, grpc_encoding="gzip")), data(1, damaged, frames.END_STREAM))
        response = await client.response(1)
    assert (response.code, response.text) == ("3", "The request is damaged.")
