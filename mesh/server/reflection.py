"""gRPC server reflection, so that grpcurl needs no .proto files.

https://github.com/grpc/grpc/blob/master/doc/server-reflection.md. The messages of v1 and v1alpha, which older clients
use, differ only in their names.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeAlias

from googleapis.google.rpc import error_details_pb, status_pb
from grpcapis.grpc_reflection.v1 import reflection_pb
from grpcapis.grpc_reflection.v1.reflection_pb import (
    ErrorResponse,
    ExtensionNumberResponse,
    ExtensionRequest,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)
from grpcapis.grpc_reflection.v1alpha import reflection_pb as v1alpha_pb
from protobuf import DescExtension, DescFile, DescMessage, DescService, Oneof

from mesh.contract.descriptors import with_imports
from mesh.errors import Code
from mesh.http2.server.call import Route, ServerCall
from mesh.server.parsing import parse

VERSIONS = (reflection_pb.desc().services[0], v1alpha_pb.desc().services[0])

ERROR_FILES = (status_pb.desc(), error_details_pb.desc())
"""The files of the details of errors, which no contract imports, because they travel as google.protobuf.Any."""

REQUEST_BYTES_MAX: Final = 65_536

Answer: TypeAlias = Oneof[Any, Any]
"""The field message_response of a response."""


class Reflection:
    """The reflection service: serves the descriptors of services, of reflection itself, and of the details of errors,
    with their imports.
    """

    def __init__(self, services: Sequence[DescService]) -> None:
        self._services = (*services, *VERSIONS)
        self._files = with_imports((*(service.file for service in self._services), *ERROR_FILES))
        self._symbols = {symbol: file for file in self._files.values() for symbol in _symbols(file)}
        self._extensions = {
            (extension.extendee.type_name, extension.number): extension.file
            for file in self._files.values()
            for extension in _extensions(file)
        }
        self._open: set[asyncio.Timeout] = set()

    def routes(self) -> dict[str, Route]:
        """Returns the routes to the methods, for a server."""
        route = Route(self._answer_all, takes_stream=True, message_bytes_max=REQUEST_BYTES_MAX)
        return {f"/{version.type_name}/ServerReflectionInfo": route for version in VERSIONS}

    def stop(self) -> None:
        """Ends the open calls. Some tools keep theirs for as long as they run."""
        for open_call in self._open:
            open_call.reschedule(asyncio.get_running_loop().time())

    async def _answer_all(self, call: ServerCall) -> None:
        """Sends a response to each request."""
        open_call = asyncio.timeout(None)
        self._open.add(open_call)
        try:
            async with open_call, aclosing(call.requests()) as requests:
                async for request in requests:
                    await call.write(self._answer(parse(ServerReflectionRequest, request)).to_binary())
        except TimeoutError:
            if not open_call.expired():
                raise
        finally:
            self._open.discard(open_call)
        call.finish()

    def _answer(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        return ServerReflectionResponse(
            valid_host=request.host, original_request=request, message_response=self._find(request)
        )

    def _find(self, request: ServerReflectionRequest) -> Answer:
        match request.message_request:
            case Oneof(field="list_services"):
                names = [ServiceResponse(name=service.type_name) for service in self._services]
                return Oneof("list_services_response", ListServiceResponse(service=names))
            case Oneof(field="file_by_filename", value=str() as name):
                return _file(self._files.get(name), name)
            case Oneof(field="file_containing_symbol", value=str() as symbol):
                return _file(self._symbols.get(symbol), symbol)
            case Oneof(field="file_containing_extension", value=ExtensionRequest() as wanted):
                extendee, number = wanted.containing_type, wanted.extension_number
                return _file(self._extensions.get((extendee, number)), f"extension {number} of {extendee}")
            case Oneof(field="all_extension_numbers_of_type", value=str() as extendee):
                return self._numbers(extendee)
        return _error(Code.INVALID_ARGUMENT, "The request has no message_request, or one of an unknown kind.")

    def _numbers(self, extendee: str) -> Answer:
        if extendee not in self._symbols:
            return _error(Code.NOT_FOUND, f"This server does not know {extendee}.")
        numbers = sorted(number for name, number in self._extensions if name == extendee)
        answer = ExtensionNumberResponse(base_type_name=extendee, extension_number=numbers)
        return Oneof("all_extension_numbers_response", answer)


def _file(file: DescFile | None, wanted: str) -> Answer:
    """Returns a file with all its imports, because the client would request those next."""
    if file is None:
        return _error(Code.NOT_FOUND, f"This server does not know {wanted}.")
    files = [each.proto.to_binary() for each in reversed(with_imports([file]).values())]
    return Oneof("file_descriptor_response", FileDescriptorResponse(file_descriptor_proto=files))


def _error(code: Code, text: str) -> Answer:
    return Oneof("error_response", ErrorResponse(error_code=int(code), error_message=text))


def _symbols(file: DescFile) -> Iterator[str]:
    """Yields the full names of all declarations in a file."""
    for service in file.services:
        yield service.type_name
        yield from (f"{service.type_name}.{method.name}" for method in service.methods)
    for message in _messages(file.messages):
        yield message.type_name
        yield from (f"{message.type_name}.{field.name}" for field in message.fields)
        yield from (enum.type_name for enum in message.nested_enums)
    yield from (enum.type_name for enum in file.enums)
    yield from (extension.type_name for extension in _extensions(file))


def _messages(messages: Iterable[DescMessage]) -> Iterator[DescMessage]:
    for message in messages:
        yield message
        yield from _messages(message.nested_messages)


def _extensions(file: DescFile) -> Iterator[DescExtension]:
    yield from file.extensions
    for message in _messages(file.messages):
        yield from message.nested_extensions
