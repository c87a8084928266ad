"""The client of gRPC server reflection, which reads contracts from the upstreams.

https://github.com/grpc/grpc/blob/master/doc/server-reflection.md defines the protocol. The messages of v1 and v1alpha
are the same.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from importlib import import_module
from typing import Final

import structlog
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from edge.call.address import ANY_SERVICE, Address
from edge.contract.image import parse_image
from edge.contract.types import json_name, messages_in
from mesh.client import RawChannel
from mesh.errors import (
    DeadlineExceeded,
    InvalidArgument,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)

VERSIONS: Final = ("v1", "v1alpha")
RETRY_S: Final = 0.5
ROUND_S_MAX: Final = 10.0

# Servers have different versions of these files, which are backward-compatible.
_COMMON: Final = ("google/protobuf/", "google/api/", "google/rpc/", "google/type/", "buf/validate/")
_GOOGLES = re.compile(r"google/(protobuf|api|rpc|type)/[a-z_]+\.proto")

log = structlog.get_logger()


async def reflect(
    upstreams: Mapping[str, Address], channels: Mapping[Address, RawChannel], wait_s: float
) -> FileDescriptorSet:
    """Reads the contracts of the services in `upstreams`; ANY_SERVICE stands for all others at its address. Waits up to
    `wait_s` seconds in total for upstreams that can't be reached.

    Raises InvalidArgument if an upstream has no reflection, or if two have different files of the same name;
    Unavailable if an upstream can't be reached in time.
    """
    deadline = time.monotonic() + wait_s
    files: dict[str, FileDescriptorProto] = {}
    origins: dict[str, Address] = {}
    served: set[str] = set()
    for address in dict.fromkeys(upstreams.values()):
        wanted = {service for service, at in upstreams.items() if at == address}
        server = _ReflectionClient(channels[address], address)
        listed = await _wait_for_services(server, deadline)
        here = [each for each in listed if each in wanted or (ANY_SERVICE in wanted and each not in upstreams)]
        for name, file in (await server.files(here)).items():
            if files.setdefault(name, file) != file and not name.startswith(_COMMON):
                raise InvalidArgument(
                    f"{origins[name]} and {address} have different files named {name}. Upgrade both to one version, or"
                    " set CONTRACTS to a descriptor image."
                )
            origins.setdefault(name, address)
        served.update(here)
    for file in files.values():
        kept = [service for service in file.service if f"{file.package}.{service.name}".lstrip(".") in served]
        del file.service[:]
        file.service.extend(kept)
    return parse_image(FileDescriptorSet(file=files.values()).SerializeToString(), "The reflection of the upstreams")


async def _wait_for_services(server: "_ReflectionClient", deadline: float) -> list[str]:
    """Returns the services of an upstream once it can be reached. Raises Unavailable after the deadline."""
    waited = False
    while True:
        try:
            return await server.services()
        except (Unavailable, DeadlineExceeded) as error:
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"Can't read the contracts of {server.address}, because it can't be reached. Start it, raise"
                    " REFLECT_WAIT_S, or set CONTRACTS to a descriptor image."
                ) from error
        if not waited:
            log.warning("waiting for an upstream to read its contracts", upstream=str(server.address))
            waited = True
        await asyncio.sleep(RETRY_S)


class _ReflectionClient:
    """The client of one upstream's reflection service."""

    def __init__(self, channel: RawChannel, address: Address) -> None:
        self.address = address
        self._channel = channel
        self._version = VERSIONS[0]

    async def services(self) -> list[str]:
        """Returns the sorted names of its services, without gRPC's own. Raises InvalidArgument without reflection."""
        for self._version in VERSIONS:
            try:
                (answer,) = await self._exchange([ServerReflectionRequest(list_services="")])
            except Unimplemented:
                continue
            names = (service.name for service in answer.list_services_response.service)
            return sorted(name for name in names if not name.startswith("grpc."))
        raise InvalidArgument(
            f"{self.address} has no gRPC server reflection. Enable it there, or set CONTRACTS to a descriptor image or"
            " to a folder of .proto files."
        )

    async def files(self, services: Iterable[str]) -> dict[str, FileDescriptorProto]:
        """Returns the files that declare these services and their transitive imports, by name."""
        files: dict[str, FileDescriptorProto] = {}
        requests = [ServerReflectionRequest(file_containing_symbol=name) for name in services]
        while requests:
            for request, answer in zip(requests, await self._exchange(requests), strict=True):
                for file in self._parse(request, answer):
                    files.setdefault(file.name, file)
            imported = {name for file in files.values() for name in file.dependency}
            requests = [ServerReflectionRequest(file_by_filename=name) for name in sorted(imported - files.keys())]
        return files

    def _parse(self, request: ServerReflectionRequest, answer: ServerReflectionResponse) -> list[FileDescriptorProto]:
        wanted = request.file_containing_symbol or request.file_by_filename
        try:
            contents = answer.file_descriptor_response.file_descriptor_proto
            files = [FileDescriptorProto.FromString(each) for each in contents]
        except DecodeError as error:
            raise InvalidArgument(f"{self.address} returned a corrupt descriptor for {wanted}.") from error
        if not files:
            files = _bundled_file(request.file_by_filename)
        if not files or (request.file_by_filename and wanted not in [file.name for file in files]):
            why = answer.error_response.error_message or "it returned a different file"
            raise InvalidArgument(f"{self.address} has no descriptor of {wanted}: {why}.")
        for file in files:
            _normalize(file)
        return files

    async def _exchange(self, requests: list[ServerReflectionRequest]) -> list[ServerReflectionResponse]:
        """Sends requests in one stream. Returns the responses, one for each request."""
        path = f"/grpc.reflection.{self._version}.ServerReflection/ServerReflectionInfo"
        try:
            async with self._channel.stream(path, _serialised(requests), timeout_s=ROUND_S_MAX) as stream:
                answers = [ServerReflectionResponse.FromString(message) async for message in stream]
        except (PermissionDenied, Unauthenticated, DecodeError) as error:
            raise InvalidArgument(f"Can't read the contracts of {self.address} by reflection: {error}") from error
        if len(answers) != len(requests):
            raise InvalidArgument(
                f"{self.address} returned {len(answers)} responses to {len(requests)} reflection requests."
            )
        return answers


async def _serialised(requests: Iterable[ServerReflectionRequest]) -> AsyncIterator[bytes]:
    for request in requests:
        yield request.SerializeToString()


def _normalize(file: FileDescriptorProto) -> None:
    """Removes the parts of a file that not every server includes, so that equal files compare equal."""
    file.ClearField("source_code_info")
    for _, message in messages_in(file):
        for field in message.field:
            if field.json_name == json_name(field.name):
                field.ClearField("json_name")


def _bundled_file(name: str) -> list[FileDescriptorProto]:
    """Returns a file of Google from our own packages, because some servers omit the files that everybody has."""
    if not _GOOGLES.fullmatch(name):
        return []
    try:
        module = import_module(f"{name.removesuffix('.proto').replace('/', '.')}_pb2")
    except ModuleNotFoundError:
        return []
    return [FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)]
