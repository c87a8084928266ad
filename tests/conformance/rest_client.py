"""Google's official REST clients for Python, and the contracts that they were generated from.

A client's package holds the types of its API, and in its REST transport the rules of google.api.http; a descriptor of
the service is not in it, but can be put together from both.
"""

import importlib
import inspect
import re
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType, NoneType
from typing import Any

from google.api import annotations_pb2  # type: ignore[import-untyped] # has no stubs
from google.auth.credentials import AnonymousCredentials
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet, ServiceDescriptorProto
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

_NOBODY: Any = AnonymousCredentials()  # type: ignore[no-untyped-call] # its library is half typed

Rule = dict[str, str]
"""A rule as a transport has it: its "method", its "uri", and its "body" if it has one."""


@dataclass(frozen=True)
class Rpc:
    """A method. `takes` is the class of requests that the client takes, `request` and `response` are those on the wire;
    `rules` are its own one and the additional bindings.
    """

    name: str
    takes: Any
    request: type[Message]
    response: type[Message]
    streams: bool
    rules: list[Rule]


class RestClient:
    """The module, classes and methods of the client of one service."""

    def __init__(self, module: str) -> None:
        self._client = importlib.import_module(f"{module}.client")
        self._rest = importlib.import_module(f"{module}.transports.rest")
        self._base = importlib.import_module(f"{module}.transports.rest_base")
        self._of = next(each for each in vars(self._client).values() if _is_client(each, self._client))
        self._name = self._of.__name__.removesuffix("Client")

    def connected(self, port: int) -> Any:
        """The client itself, of a server at this port."""
        options = {"api_endpoint": f"http://127.0.0.1:{port}"}
        return self._of(client_options=options, transport="rest", credentials=_NOBODY)

    @cached_property
    def rpcs(self) -> list[Rpc]:
        """The methods that have a rule, those of google.longrunning and the like among them."""
        return list(self._rpcs())

    def _rpcs(self) -> Iterator[Rpc]:
        transport = getattr(self._rest, f"{self._name}RestTransport")
        rules = getattr(self._base, f"_Base{self._name}RestTransport")
        for attribute, call in vars(transport).items():
            name = attribute.removeprefix("_")
            described: Any = getattr(rules, f"_Base{name}", None)
            if not hasattr(described, "_get_http_options"):
                continue  # Client streams are there too, but have no REST.
            hints = typing.get_type_hints(call.__call__, vars(self._rest))
            streamed = self._streamed(name)
            answers = streamed or hints.get("return", NoneType)
            response = Empty if answers is NoneType else _on_the_wire(answers)
            rules_of = described._get_http_options()
            yield Rpc(name, hints["request"], _on_the_wire(hints["request"]), response, streamed is not None, rules_of)

    def _streamed(self, rpc: str) -> Any:
        """The class of the messages that a method streams, None if it does not."""
        method = getattr(self._of, method_name(rpc))
        answers = typing.get_type_hints(method, vars(self._client)).get("return")
        return typing.get_args(answers)[0] if typing.get_origin(answers) is Iterable else None

    @property
    def image(self) -> FileDescriptorSet:
        """The contract."""
        types = [kind.DESCRIPTOR for rpc in self.rpcs for kind in (rpc.request, rpc.response)]
        files = _with_imports([annotations_pb2.DESCRIPTOR, *(each.file for each in types)])
        own = FileDescriptorProto(name="service.proto", package="rest", syntax="proto3", dependency=files)
        service = own.service.add(name=self._name)
        for rpc in self.rpcs:
            _declare(service, rpc)
        return FileDescriptorSet(file=[*map(_proto, files.values()), own])


def _is_client(value: Any, module: ModuleType) -> bool:
    return inspect.isclass(value) and value.__name__.endswith("Client") and value.__module__ == module.__name__


def method_name(rpc: str) -> str:
    """The name that the client has for a method: GetInstance is get_instance."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", rpc).lower()


def _on_the_wire(of: Any) -> type[Message]:
    """The class of Protobuf's own that a class of proto-plus wraps; or that class itself."""
    return type(of.pb(of())) if hasattr(of, "pb") else of


def _with_imports(files: Iterable[Any]) -> dict[str, Any]:
    """Files by their names, those that others import before them."""
    found: dict[str, Any] = {}
    for file in files:
        found |= _with_imports(file.dependencies) | {file.name: file}
    return found


def _proto(file: Any) -> FileDescriptorProto:
    return FileDescriptorProto.FromString(file.serialized_pb)


def _declare(service: ServiceDescriptorProto, rpc: Rpc) -> None:
    """Adds a method with its rule."""
    method = service.method.add(name=rpc.name, server_streaming=rpc.streams)
    method.input_type = f".{rpc.request.DESCRIPTOR.full_name}"
    method.output_type = f".{rpc.response.DESCRIPTOR.full_name}"
    first, *others = rpc.rules
    rule = method.options.Extensions[annotations_pb2.http]
    for each, made in [(first, rule), *((other, rule.additional_bindings.add()) for other in others)]:
        setattr(made, each["method"], each["uri"])
        made.body = each.get("body", "")
