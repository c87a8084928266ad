"""Contracts asked from the upstreams themselves, by gRPC server reflection.

https://github.com/grpc/grpc/blob/master/doc/server-reflection.md says how. The messages of v1 and v1alpha are the same.
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

# Every server brings its own edition of these, and they only ever gain something.
_COMMON: Final = ("google/protobuf/", "google/api/", "google/rpc/", "google/type/", "buf/validate/")
_GOOGLES = re.compile(r"google/(protobuf|api|rpc|type)/[a-z_]+\.proto")

log = structlog.get_logger()


async def ask(
    upstreams: Mapping[str, Address], channels: Mapping[Address, RawChannel], wait_s: float
) -> FileDescriptorSet:
    """The contracts of services whose addresses are given; ANY_SERVICE stands for all others that its address has.
    Upstreams that are away are waited for, `wait_s` seconds in all.

    Raises InvalidArgument if an upstream has no reflection, or if two have different files of one name; Unavailable if
    one stays away.
    """
    deadline = time.monotonic() + wait_s
    files: dict[str, FileDescriptorProto] = {}
    came_from: dict[str, Address] = {}
    served: set[str] = set()
    for address in dict.fromkeys(upstreams.values()):
        wanted = {service for service, at in upstreams.items() if at == address}
        server = _Server(channels[address], address)
        listed = await _when_there(server, deadline)
        here = [each for each in listed if each in wanted or (ANY_SERVICE in wanted and each not in upstreams)]
        for name, file in (await server.files(here)).items():
            if files.setdefault(name, file) != file and not name.startswith(_COMMON):
                raise InvalidArgument(
                    f"{came_from[name]} and {address} have different files named {name}. Bring both to one version, or"
                    " give the contracts as a descriptor image."
                )
            came_from.setdefault(name, address)
        served.update(here)
    for file in files.values():
        kept = [service for service in file.service if f"{file.package}.{service.name}".lstrip(".") in served]
        del file.service[:]
        file.service.extend(kept)
    return parse_image(FileDescriptorSet(file=files.values()).SerializeToString(), "What the upstreams tell")


async def _when_there(server: "_Server", deadline: float) -> list[str]:
    """The services of an upstream, as soon as it is there."""
    waited = False
    while True:
        try:
            return await server.services()
        except (Unavailable, DeadlineExceeded) as error:
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{server.address} can't be reached, so that its contracts can't be asked for. Start it, raise"
                    " REFLECT_WAIT_S, or give the contracts as a descriptor image."
                ) from error
        if not waited:
            log.warning("waiting for an upstream, to ask for its contracts", upstream=str(server.address))
            waited = True
        await asyncio.sleep(RETRY_S)


class _Server:
    """The reflection service of one upstream."""

    def __init__(self, channel: RawChannel, address: Address) -> None:
        self.address = address
        self._channel = channel
        self._version = VERSIONS[0]

    async def services(self) -> list[str]:
        """The names of its services, less gRPC's own. Raises InvalidArgument if it has no reflection."""
        for self._version in VERSIONS:
            try:
                (answer,) = await self._ask([ServerReflectionRequest(list_services="")])
            except Unimplemented:
                continue
            names = (service.name for service in answer.list_services_response.service)
            return sorted(name for name in names if not name.startswith("grpc."))
        raise InvalidArgument(
            f"{self.address} has no gRPC server reflection. Switch it on there, or give the contracts as a descriptor"
            " image or a folder of .proto files."
        )

    async def files(self, services: Iterable[str]) -> dict[str, FileDescriptorProto]:
        """The files that declare these services, and all that they import, by their names."""
        files: dict[str, FileDescriptorProto] = {}
        requests = [ServerReflectionRequest(file_containing_symbol=name) for name in services]
        while requests:
            for request, answer in zip(requests, await self._ask(requests), strict=True):
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
            raise InvalidArgument(f"What {self.address} tells of {wanted} is damaged.") from error
        if not files:
            files = _known_here(request.file_by_filename)
        if not files or (request.file_by_filename and wanted not in [file.name for file in files]):
            why = answer.error_response.error_message or "it answers with something else"
            raise InvalidArgument(f"{self.address} can't describe {wanted}: {why}.")
        for file in files:
            _reduce(file)
        return files

    async def _ask(self, requests: list[ServerReflectionRequest]) -> list[ServerReflectionResponse]:
        """The answers, one for each request."""
        path = f"/grpc.reflection.{self._version}.ServerReflection/ServerReflectionInfo"
        try:
            async with self._channel.stream(path, _serialised(requests), timeout_s=ROUND_S_MAX) as stream:
                answers = [ServerReflectionResponse.FromString(message) async for message in stream]
        except (PermissionDenied, Unauthenticated, DecodeError) as error:
            raise InvalidArgument(f"{self.address} does not tell its contracts: {error}") from error
        if len(answers) != len(requests):
            raise InvalidArgument(f"{self.address} answers {len(requests)} questions with {len(answers)} answers.")
        return answers


async def _serialised(requests: Iterable[ServerReflectionRequest]) -> AsyncIterator[bytes]:
    for request in requests:
        yield request.SerializeToString()


def _reduce(file: FileDescriptorProto) -> None:
    """Takes off what one server tells and another does not, of the same file."""
    file.ClearField("source_code_info")
    for _, message in messages_in(file):
        for field in message.field:
            if field.json_name == json_name(field.name):
                field.ClearField("json_name")


def _known_here(name: str) -> list[FileDescriptorProto]:
    """A file that every server knows, and that some therefore do not tell."""
    if not _GOOGLES.fullmatch(name):
        return []
    try:
        module = import_module(f"{name.removesuffix('.proto').replace('/', '.')}_pb2")
    except ModuleNotFoundError:
        return []
    return [FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)]
