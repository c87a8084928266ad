"""The service that clients of gRPC are tested with, behind a real server.

https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md
"""

import asyncio
import contextlib
import importlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from mesh.errors import error_for
from mesh.identity import Verifier
from mesh.operations import Readiness
from mesh.rpc import Call
from mesh.server import Server
from tests.issuer import AUDIENCE, ISSUER, Issuer
from tests.mesh.greeter import compile_contract

NAME: Final = "grpc_testing/test.proto"  # not in a folder grpc, which is a package of Python

# The names and numbers of https://github.com/grpc/grpc-proto/tree/master/grpc/testing, as far as they are used.
CONTRACT: Final = """
syntax = "proto3";
package grpc.testing;
import "google/api/annotations.proto";
import "meshwright/policy/v1/policy.proto";

service TestService {
  rpc EmptyCall(Empty) returns (Empty) {
    option (google.api.http) = {post: "/v1/EmptyCall" body: "*"};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc UnaryCall(SimpleRequest) returns (SimpleResponse) {
    option (google.api.http) = {post: "/v1/UnaryCall" body: "*"};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc StreamingOutputCall(StreamingOutputCallRequest) returns (stream StreamingOutputCallResponse) {
    option (google.api.http) = {post: "/v1/StreamingOutputCall" body: "*"};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc StreamingInputCall(stream StreamingInputCallRequest) returns (StreamingInputCallResponse) {
    option (google.api.http) = {post: "/v1/StreamingInputCall" body: "*"};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc FullDuplexCall(stream StreamingOutputCallRequest) returns (stream StreamingOutputCallResponse) {
    option (google.api.http) = {post: "/v1/FullDuplexCall" body: "*"};
    option (meshwright.policy.v1.method) = {public: true};
  }
}

message Empty {}

enum PayloadType {
  COMPRESSABLE = 0;
}

message Payload {
  PayloadType type = 1;
  bytes body = 2;
}

message EchoStatus {
  int32 code = 1;
  string message = 2;
}

message SimpleRequest {
  PayloadType response_type = 1;
  int32 response_size = 2;
  Payload payload = 3;
  EchoStatus response_status = 7;
}

message SimpleResponse {
  Payload payload = 1;
}

message StreamingInputCallRequest {
  Payload payload = 1;
}

message StreamingInputCallResponse {
  int32 aggregated_payload_size = 1;
}

message ResponseParameters {
  int32 size = 1;
  int32 interval_us = 2;
}

message StreamingOutputCallRequest {
  PayloadType response_type = 1;
  repeated ResponseParameters response_parameters = 2;
  Payload payload = 3;
  EchoStatus response_status = 7;
}

message StreamingOutputCallResponse {
  Payload payload = 1;
}
"""


def compiled(folder: Path) -> SimpleNamespace:
    """Returns the generated modules of the contract: `pb` with the messages, `grpc` with the base."""
    done = compile_contract(CONTRACT, NAME, folder)
    assert done.returncode == 0, done.stderr
    sys.path.append(str(folder))
    return SimpleNamespace(**{name: importlib.import_module(f"grpc_testing.test_{name}") for name in ("pb", "grpc")})


@contextlib.asynccontextmanager
async def serving(testing: SimpleNamespace, grace_s: float = 5.0) -> AsyncIterator[int]:
    """Starts a server with the service. Yields its port."""
    readiness = Readiness()
    readiness.serve()
    verifier = Verifier(Issuer(), ISSUER, AUDIENCE)
    handlers = type("Handlers", (_Methods, testing.grpc.TestServiceBase), {})(testing.pb)
    async with Server("127.0.0.1:0", (handlers,), verifier, readiness, grace_s) as server:
        yield server.port


class _Methods:
    def __init__(self, pb: Any) -> None:
        self._pb = pb

    async def empty_call(self, _request: Any, _call: Call) -> Any:
        return self._pb.Empty()

    async def unary_call(self, request: Any, _call: Call) -> Any:
        _check(request)
        return self._pb.SimpleResponse(payload=self._payload(request.response_size))

    async def streaming_output_call(self, request: Any, _call: Call) -> AsyncIterator[Any]:
        _check(request)
        for parameters in request.response_parameters:
            await asyncio.sleep(parameters.interval_us / 1e6)
            yield self._pb.StreamingOutputCallResponse(payload=self._payload(parameters.size))

    async def streaming_input_call(self, requests: AsyncIterator[Any], _call: Call) -> Any:
        sizes = [len(request.payload.body) async for request in requests]
        return self._pb.StreamingInputCallResponse(aggregated_payload_size=sum(sizes))

    async def full_duplex_call(self, requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        async for request in requests:
            async for response in self.streaming_output_call(request, call):
                yield response

    def _payload(self, size: int) -> Any:
        return self._pb.Payload(body=bytes(size))


def _check(request: Any) -> None:
    """Raises the status that a request asks for."""
    if request.response_status is not None:
        raise error_for(request.response_status.code)(request.response_status.message)
