"""Contracts asked from running servers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from edge.call.address import Address
from edge.call.upstreams import Upstreams
from edge.contract.contract import Contract, read
from edge.sources.reflection import ask
from local.ports import free_ports
from mesh.errors import InvalidArgument, Unavailable
from tests.edge.contracts import LIBRARY, compile_image

OTHER = """
syntax = "proto3";
package other.v1;
import "google/api/annotations.proto";
import "google/protobuf/timestamp.proto";
message Thing { google.protobuf.Timestamp create_time = 1; }
service Things { rpc Get(Thing) returns (Thing) { option (google.api.http) = {get: "/v1/things"}; } }
service Unserved { rpc Get(Thing) returns (Thing) { option (google.api.http) = {get: "/v1/unserved"}; } }
"""


class _Reflection(grpc.GenericRpcHandler):
    """The reflection service of one version, as a server in any language could have it."""

    def __init__(self, servicer: Any, version: str) -> None:
        self._servicer = servicer
        self._path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of reflection, None for all else."""
        if handler_call_details.method != self._path:
            return None
        return grpc.stream_stream_rpc_method_handler(
            self._servicer.ServerReflectionInfo,
            request_deserializer=ServerReflectionRequest.FromString,
            response_serializer=ServerReflectionResponse.SerializeToString,
        )


@contextlib.asynccontextmanager
async def served(
    image: FileDescriptorSet, services: Sequence[str], *, version: str = "v1alpha", port: int = 0
) -> AsyncIterator[Address]:
    """A server that tells of these services."""
    pool = descriptor_pool.DescriptorPool()
    for file in {file.name: file for file in image.file}.values():
        pool.AddSerializedFile(file.SerializeToString())
    names = [*services, "grpc.health.v1.Health", reflection.SERVICE_NAME]
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Reflection(reflection.aio.ReflectionServicer(names, pool), version),))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield Address("127.0.0.1", bound)
    finally:
        await server.stop(None)


async def asked(upstreams: dict[str, Address], wait_s: float = 10) -> Contract:
    """The contract that these upstreams tell."""
    async with Upstreams(upstreams) as opened:
        return read(await ask(upstreams, opened.channels, wait_s))


@pytest.fixture
def library_image(tmp_path: Path) -> FileDescriptorSet:
    """The library's."""
    return compile_image(LIBRARY, tmp_path)


@pytest.fixture
def other_image(tmp_path: Path) -> FileDescriptorSet:
    """Of a contract with two services."""
    return compile_image(OTHER, tmp_path, "other.proto")


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_all_services_of_a_server_are_served(
    library_image: FileDescriptorSet, other_image: FileDescriptorSet, version: str
) -> None:
    """By either version of reflection; but not gRPC's own, nor one of the same file that the server does not have."""
    both = FileDescriptorSet(file=[*library_image.file, *other_image.file])
    async with served(both, ["library.v1.Library", "other.v1.Things"], version=version) as address:
        contract = await asked({"*": address})
    assert set(contract.services) == {"library.v1.Library", "other.v1.Things"}
    templates = {route.template.text for route in contract.routes}
    assert {"/v1/{parent=shelves/*}/books", "/v1/things"} <= templates
    assert "/v1/unserved" not in templates
    book = contract.registry.message("library.v1.Book")
    assert book is not None
    assert book.fields[2].json_name == "pageCount"


async def test_each_service_is_asked_where_it_is(
    library_image: FileDescriptorSet, other_image: FileDescriptorSet
) -> None:
    """What is named is taken from there, all others from the server that stands for them."""
    async with (
        served(library_image, ["library.v1.Library"]) as library,
        served(other_image, ["other.v1.Things", "other.v1.Unserved"]) as other,
    ):
        contract = await asked({"library.v1.Library": library, "*": other})
        assert set(contract.services) == {"library.v1.Library", "other.v1.Things", "other.v1.Unserved"}
        assert (await asked({"library.v1.Library": library, "other.v1.Things": other})).services == (
            *("library.v1.Library", "other.v1.Things"),
        )


async def test_two_versions_of_a_file_are_a_sentence(tmp_path: Path, other_image: FileDescriptorSet) -> None:
    """The same file from two servers is fine, whatever compiler each has; another one of the same name is not."""
    same = FileDescriptorSet.FromString(other_image.SerializeToString())
    for message in same.file[-1].message_type:
        for field in message.field:
            field.ClearField("json_name")
    newer = compile_image(OTHER.replace("Thing {", "Thing { string name = 2;"), tmp_path, "other.proto")
    async with (
        served(other_image, ["other.v1.Things"]) as first,
        served(same, ["other.v1.Unserved"]) as second,
        served(newer, ["other.v1.Unserved"]) as third,
    ):
        contract = await asked({"other.v1.Things": first, "other.v1.Unserved": second})
        assert contract.services == ("other.v1.Things", "other.v1.Unserved")
        with pytest.raises(InvalidArgument, match=f"{first} and {third} have different files named other.proto"):
            await asked({"other.v1.Things": first, "other.v1.Unserved": third})


async def test_a_server_that_is_late_is_waited_for(other_image: FileDescriptorSet) -> None:
    """But not for ever."""
    (port,) = free_ports(1)
    address = Address("127.0.0.1", port)
    with pytest.raises(Unavailable, match=f"{address} can't be reached"):
        await asked({"*": address}, wait_s=0)
    waiting = asyncio.ensure_future(asked({"*": address}, wait_s=60))
    await asyncio.sleep(0.2)
    async with served(other_image, ["other.v1.Things"], port=port):
        assert (await waiting).services == ("other.v1.Things",)


async def test_a_server_without_reflection_is_a_sentence(other_image: FileDescriptorSet) -> None:
    """It says what else can be done."""
    async with served(other_image, [], version="v2") as address:
        with pytest.raises(InvalidArgument, match=f"{address} has no gRPC server reflection"):
            await asked({"*": address})


async def test_what_a_server_can_not_describe_is_a_sentence(other_image: FileDescriptorSet) -> None:
    """Reflection was told a name that no file declares."""
    async with served(other_image, ["other.v1.Nope"]) as address:
        with pytest.raises(InvalidArgument, match=rf"{address} can't describe other\.v1\.Nope"):
            await asked({"*": address})


async def test_nothing_to_serve_is_a_sentence(other_image: FileDescriptorSet) -> None:
    """A server that has only gRPC's own services."""
    async with served(other_image, []) as address:
        with pytest.raises(InvalidArgument, match="What the upstreams tell holds no contracts"):
            await asked({"*": address})
