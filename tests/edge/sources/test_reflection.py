"""Contracts read from running servers by reflection."""

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
from edge.sources.reflection import reflect
from local.ports import free_ports
from mesh.errors import InvalidArgument, Unavailable
from tests.edge.contracts import LIBRARY, compile_image
from tests.edge.served import TRANSPORT

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
    """A reflection service of one version, as a server in any language could have it."""

    def __init__(self, servicer: Any, version: str) -> None:
        self._servicer = servicer
        self._path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Returns the handler of reflection, None for other methods."""
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
    """Starts a server whose reflection lists these services."""
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
    """Returns the contract from the reflection of these upstreams."""
    async with Upstreams(upstreams, transport=TRANSPORT) as opened:
        return read(await reflect(upstreams, opened.channels, wait_s))


@pytest.fixture
def library_image(tmp_path: Path) -> FileDescriptorSet:
    """Returns the image of the library."""
    return compile_image(LIBRARY, tmp_path)


@pytest.fixture
def other_image(tmp_path: Path) -> FileDescriptorSet:
    """Returns the image of a contract with two services."""
    return compile_image(OTHER, tmp_path, "other.proto")


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_all_services_of_a_server_are_served(
    library_image: FileDescriptorSet, other_image: FileDescriptorSet, version: str
) -> None:
    """Either version of reflection lists the services, without gRPC's own and those that only the file declares."""
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


async def test_each_service_is_read_from_its_upstream(
    library_image: FileDescriptorSet, other_image: FileDescriptorSet
) -> None:
    """Named services are read from their addresses, all others from the server of ANY_SERVICE."""
    async with (
        served(library_image, ["library.v1.Library"]) as library,
        served(other_image, ["other.v1.Things", "other.v1.Unserved"]) as other,
    ):
        contract = await asked({"library.v1.Library": library, "*": other})
        assert set(contract.services) == {"library.v1.Library", "other.v1.Things", "other.v1.Unserved"}
        assert (await asked({"library.v1.Library": library, "other.v1.Things": other})).services == (
            *("library.v1.Library", "other.v1.Things"),
        )


async def test_two_versions_of_a_file_raise(tmp_path: Path, other_image: FileDescriptorSet) -> None:
    """The same file from two servers is accepted with any compiler; a different file of the same name raises."""
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


async def test_a_late_server_is_waited_for(other_image: FileDescriptorSet) -> None:
    """A server that starts late is waited for, but only for the given time."""
    (port,) = free_ports(1)
    address = Address("127.0.0.1", port)
    with pytest.raises(Unavailable, match=f"Can't read the contracts of {address}, because it can't be reached"):
        await asked({"*": address}, wait_s=0)
    waiting = asyncio.ensure_future(asked({"*": address}, wait_s=60))
    await asyncio.sleep(0.2)
    async with served(other_image, ["other.v1.Things"], port=port):
        assert (await waiting).services == ("other.v1.Things",)


async def test_a_server_without_reflection_raises(other_image: FileDescriptorSet) -> None:
    """The message names the address and the alternatives to reflection."""
    async with served(other_image, [], version="v2") as address:
        with pytest.raises(InvalidArgument, match=f"{address} has no gRPC server reflection"):
            await asked({"*": address})


async def test_a_service_without_a_descriptor_raises(other_image: FileDescriptorSet) -> None:
    """A listed service that no file declares raises InvalidArgument."""
    async with served(other_image, ["other.v1.Nope"]) as address:
        with pytest.raises(InvalidArgument, match=rf"{address} has no descriptor of other\.v1\.Nope"):
            await asked({"*": address})


async def test_a_server_without_services_raises(other_image: FileDescriptorSet) -> None:
    """A server with only gRPC's own services raises InvalidArgument."""
    async with served(other_image, []) as address:
        with pytest.raises(InvalidArgument, match=r"The reflection of the upstreams contains no \.proto files"):
            await asked({"*": address})
