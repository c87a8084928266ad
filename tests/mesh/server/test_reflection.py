"""The reflection of a server."""

import contextlib
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.issuer import Issuer
from tests.mesh.servers import never, plain_channel, serving


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
async def test_every_request_of_reflection_has_a_response(
    greeter: SimpleNamespace, issuer: Issuer, version: str
) -> None:
    """Files are found by name, by symbol and by extension; others are NOT_FOUND. v1 and v1alpha are the same."""
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


async def test_an_idle_call_ends_with_the_server(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A tool that keeps its call open does not hold up the end of a process for the grace of calls."""
    async with contextlib.AsyncExitStack() as outer:
        async with serving(greeter, issuer, never) as server:
            channel: Any = await outer.enter_async_context(plain_channel(server))
            stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
            call = stub.ServerReflectionInfo()
            await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
            assert (await call.read()).HasField("list_services_response")
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK
