"""Floats in responses have the fewest digits, as google.protobuf.json_format writes them."""

import json
import struct
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from hypothesis import given
from hypothesis import strategies as st

from edge.contract.contract import Contract, read
from edge.protojson.short_floats import shortest
from tests.edge.backend import Backend, Context, Received, backend_of
from tests.edge.contracts import compile_image
from tests.edge.served import Client, edge_of

CONTRACT = """
syntax = "proto2";
package floats.v1;
import "google/api/annotations.proto";
import "google/protobuf/any.proto";
import "google/protobuf/wrappers.proto";
service Floats {
  rpc Get(Floating) returns (Floating) { option (google.api.http) = {get: "/v1/floats"}; }
  rpc GetOne(Floating) returns (Floating) {
    option (google.api.http) = {get: "/v1/floats/one" response_body: "inside"};
  }
  rpc Watch(Floating) returns (stream Floating) { option (google.api.http) = {get: "/v1/floats:watch"}; }
}
message Floating {
  optional float single = 1;
  optional float preset = 2 [default = 0.1];
  repeated float list = 3;
  map<string, float> map = 4;
  oneof choice { float chosen = 5; string other = 6; }
  optional google.protobuf.FloatValue wrapped = 7;
  repeated google.protobuf.FloatValue wrappers = 8;
  optional Floating inside = 9;
  map<int32, Floating> insides = 10;
  optional double double = 11;
  repeated google.protobuf.Any anys = 12;
  extensions 100 to 200;
}
message Plain { optional string text = 1; optional double double = 2; }
extend Floating {
  optional float more = 100;
  repeated float many = 101;
  optional Floating further = 102;
}
"""

ANY = "type.googleapis.com"
CASES: list[dict[str, Any]] = [
    {"single": 0.1},
    {"single": 0.0, "chosen": 0.0, "wrapped": 0.0},
    {"preset": 0.3},
    {"list": [0.1, 1 / 3, 1e-45, 3.4e38, 16777216, -0.0, "NaN", "Infinity", "-Infinity"]},
    {"map": {"a": 0.1, "b": 0.7}, "double": 0.10000000149011612},
    {"chosen": 0.1},
    {"other": "0.1"},
    {"wrapped": 0.3, "wrappers": [0.1, 0.0, 0.7]},
    {"inside": {"inside": {"single": 0.1}}, "insides": {"1": {"list": [0.7]}}},
    {"[floats.v1.more]": 0.1, "[floats.v1.many]": [0.1, 0.7], "[floats.v1.further]": {"single": 0.3}},
    {"anys": [{"@type": f"{ANY}/floats.v1.Floating", "single": 0.1}], "single": 0.3},
    {"anys": [{"@type": f"{ANY}/floats.v1.Plain", "double": 0.10000000149011612}], "single": 0.3},
    {"anys": [{"@type": f"{ANY}/google.protobuf.FloatValue", "value": 0.1}], "list": [0.3]},
    {"anys": [{}, {"@type": f"{ANY}/google.protobuf.Any", "value": {"@type": f"{ANY}/floats.v1.Floating"}}]},
]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorSet:
    """Returns the contract's image."""
    return compile_image(CONTRACT, tmp_path_factory.mktemp("floats"))


@pytest.fixture(scope="module")
def contract(image: FileDescriptorSet) -> Contract:
    """Returns a contract with floats everywhere."""
    return read(image)


@pytest.fixture(scope="module")
def pool(image: FileDescriptorSet) -> descriptor_pool.DescriptorPool:
    """Returns google.protobuf's types of the contract."""
    pool = descriptor_pool.DescriptorPool()
    for file in image.file:
        pool.Add(file)
    return pool


@pytest.fixture(scope="module")
async def source(contract: Contract) -> AsyncIterator[Backend]:
    """Returns a backend of the contract."""
    async with backend_of(contract.registry, ["/floats.v1.Floats/Watch"]) as backend:
        yield backend


@pytest.fixture(scope="module")
async def reader(contract: Contract, source: Backend) -> AsyncIterator[Client]:
    """Returns a client of an edge in front of the backend."""
    async with edge_of(contract, source.port) as client:
        yield client


@pytest.mark.parametrize("case", CASES)
async def test_floats_are_short_wherever_they_are(
    reader: Client, source: Backend, pool: descriptor_pool.DescriptorPool, case: dict[str, Any]
) -> None:
    """Fields, lists, maps, wrappers, extensions and Anys have json_format's digits, in REST, streams and Connect. A
    default that is not set stays absent.
    """
    factory = message_factory.GetMessageClassesForFiles(["test.proto"], pool)
    message: Any = json_format.ParseDict(case, factory["floats.v1.Floating"](), descriptor_pool=pool)
    content: bytes = message.SerializeToString()

    async def answer(received: Received, _: Context) -> bytes:
        return content if "One" not in received.path else b"\x4a" + bytes([len(content)]) + content

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        yield content

    source.answer, source.stream = answer, stream
    expected = json.dumps(json_format.MessageToDict(message, descriptor_pool=pool), sort_keys=True)
    shown = [
        (await reader.get("/v1/floats")).json(),
        (await reader.get("/v1/floats/one")).json(),
        (await reader.post("/floats.v1.Floats/Get", json={})).json(),
        *(await reader.get("/v1/floats:watch")).json(),
    ]
    assert [json.dumps(each, sort_keys=True) for each in shown] == [expected] * 4


@given(st.floats(width=32, allow_nan=False))
def test_the_shortest_decimal_is_the_same_float(value: float) -> None:
    """It is read as the same float, and no decimal with fewer digits is, from six on."""
    short = shortest(value)
    assert struct.pack("f", short) == struct.pack("f", value)
    digits = len(Decimal(repr(short)).normalize().as_tuple().digits)
    for fewer in range(6, digits):
        assert struct.pack("f", float(f"{value:.{fewer}g}")) != struct.pack("f", value)
