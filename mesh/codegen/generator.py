"""The generator of `<file>_grpc.py` for every .proto file that declares a service.

For each service it writes a `<Service>Base` with one abstract method an RPC, so that the type checker finds a handler
that is missing or has a wrong type; and a `<Service>Client` whose methods take and return the messages of
`<file>_pb.py`. Streams are asynchronous iterators of messages.
"""

import re
from contextlib import AbstractContextManager
from typing import Any

from protobuf import DescFile, DescMethod, DescService
from protobuf.plugin import File, Ident, Module, Schema, escape_public_identifier, get_comments, python_keywords

NAME = "protoc-gen-mesh"
VERSION = "1"

_RPC = Module("mesh.rpc")
_METHOD = _RPC.ident("Method")
_HANDLER = _RPC.ident("Handler")
_SERVICE = _RPC.ident("Service")
_CALL = _RPC.ident("Call", type_only=True)
_DESC_SERVICE = Module("protobuf").ident("DescService", type_only=True)
_CHANNEL = Module("mesh.client").ident("Channel", type_only=True)
_ABSTRACT = Module("abc").ident("abstractmethod")
_ASYNC_ITERATOR = Module("collections.abc").ident("AsyncIterator", type_only=True)
_ASYNC_ITERABLE = Module("collections.abc").ident("AsyncIterable", type_only=True)
_ASYNC_CONTEXT = Module("contextlib").ident("AbstractAsyncContextManager", type_only=True)
_CLASS_VAR = Module("typing").ident("ClassVar")
_FINAL = Module("typing").ident("Final")
_RESERVED = python_keywords() | {"handlers", "float", "tuple"}  # the last two are types in the signatures of a class


def generate(schema: Schema[None]) -> None:
    """Writes the files that a CodeGeneratorRequest asks for."""
    for desc in schema.files_to_generate:
        if desc.services:
            write_file(schema.generate_file(desc, "_grpc.py"), desc)


def write_file(file: File, desc: DescFile) -> None:
    """Writes the bases and clients of one .proto file."""
    file.preamble(desc)
    for service in desc.services:
        for write in (write_methods, write_base, write_client):
            file.print()
            file.print()
            write(file, service)


def write_methods(file: File, service: DescService) -> None:
    """Writes one constant for each method, built from the file's descriptor, so that its policy is read from the
    contract itself.
    """
    index = service.file.services.index(service)
    file.print(service_constant(service), ": ", _FINAL, " = ", service.file, f".desc().services[{index}]")
    for number, method in enumerate(service.methods):
        desc = f"{service_constant(service)}.methods[{number}]"
        value = (_METHOD, f".of({desc}, ", method.input, ", ", method.output, ")")
        file.print(method_constant(method), ": ", _FINAL, " = ", *value)


def write_base(file: File, service: DescService) -> None:
    """Writes the abstract class that a service's handlers derive from."""
    with file.scope("class ", file.ident(f"{service.name}Base"), "(", _SERVICE, "):"):
        write_doc(file, service)
        file.print()
        file.print("DESC: ", _CLASS_VAR, "[", _DESC_SERVICE, "] = ", service_constant(service))
        for method in service.methods:
            file.print()
            file.print("@", _ABSTRACT)
            with write_handler_signature(file, method):
                write_doc(file, method)
        file.print()
        with file.scope("def handlers(self) -> tuple[", _HANDLER, ", ...]:"):
            with file.scope("return ("):
                for method in service.methods:
                    file.print(_HANDLER, f"({method_constant(method)}, self.{python_name(method)}),")
            file.print(")")


def write_client(file: File, service: DescService) -> None:
    """Writes the class that calls the service over a channel."""
    with file.scope("class ", file.ident(f"{service.name}Client"), ":"):
        write_doc(file, service)
        file.print()
        with file.scope("def __init__(self, channel: ", _CHANNEL, ") -> None:"):
            file.print("self._channel = channel")
        for method in service.methods:
            file.print()
            with write_client_signature(file, method):
                write_doc(file, method)
                write_client_call(file, method)


def write_handler_signature(file: File, method: DescMethod) -> AbstractContextManager[None]:
    """Opens the function that handles a method. If its response streams, it is an asynchronous generator, which is
    declared as a plain function that returns an iterator (PEP 525; mypy, "Asynchronous iterators").
    """
    request, response = messages(method)
    parameter = ("requests: ", *generic(_ASYNC_ITERATOR, request)) if streams_up(method) else ("request: ", request)
    result = generic(_ASYNC_ITERATOR, response) if streams_down(method) else (response,)
    return write_signature(file, method, (*parameter, ", call: ", _CALL), result, is_async=not streams_down(method))


def write_client_signature(file: File, method: DescMethod) -> AbstractContextManager[None]:
    """Opens the function that calls a method. A response stream is a context manager: leaving it ends the call."""
    request, response = messages(method)
    parameter = ("requests: ", *generic(_ASYNC_ITERABLE, request)) if streams_up(method) else ("request: ", request)
    result = generic(_ASYNC_CONTEXT, *generic(_ASYNC_ITERATOR, response)) if streams_down(method) else (response,)
    timeout = ", *, timeout_s: float | None = None"
    return write_signature(file, method, (*parameter, timeout), result, is_async=not streams_down(method))


def write_client_call(file: File, method: DescMethod) -> None:
    """Writes the body of a client's function: a call of the channel."""
    calls = {
        "unary": "await self._channel.call({}, request, {})",
        "server_streaming": "self._channel.open({}, request, {})",
        "client_streaming": "await self._channel.collect({}, requests, {})",
        "bidi_streaming": "self._channel.exchange({}, requests, {})",
    }
    file.print("return ", calls[method.method_kind].format(method_constant(method), "timeout_s=timeout_s"))


def write_signature(
    file: File, method: DescMethod, parameters: tuple[Any, ...], result: tuple[Any, ...], *, is_async: bool
) -> AbstractContextManager[None]:
    """Opens a function with the name of the method."""
    start = f"{'async ' if is_async else ''}def {python_name(method)}(self, "
    return file.scope(start, *parameters, ") -> ", *result, ":")


def messages(method: DescMethod) -> tuple[Ident, Ident]:
    """Returns the types of the request and the response, which are imported for the type checker only."""
    return Ident.for_desc(method.input, type_only=True), Ident.for_desc(method.output, type_only=True)


def generic(outer: Ident, *inner: Any) -> tuple[Any, ...]:
    """Returns the parts of `outer[inner]`."""
    return (outer, "[", *inner, "]")


def streams_up(method: DescMethod) -> bool:
    """Returns whether the requests of a method stream."""
    return method.method_kind in ("client_streaming", "bidi_streaming")


def streams_down(method: DescMethod) -> bool:
    """Returns whether the responses of a method stream."""
    return method.method_kind in ("server_streaming", "bidi_streaming")


def write_doc(file: File, desc: DescService | DescMethod) -> None:
    """Writes the contract's comment as the docstring."""
    comment = (get_comments(desc).leading or "").strip("\n") or f"{desc.name}."
    first, *rest = [line.removeprefix(" ") for line in comment.splitlines()]
    if not rest:
        last = r"\"" if first.endswith('"') else in_docstring(first[-1:])  # a quote would be one of the closing ones
        file.print(f'"""{in_docstring(first[:-1])}{last}"""')
        return
    file.print(f'"""{in_docstring(first)}')
    for line in rest:
        file.print(in_docstring(line))
    file.print('"""')


def in_docstring(line: str) -> str:
    """Returns a line as it is written between triple quotes."""
    return line.replace("\\", "\\\\").replace('"""', r"\"\"\"")


def python_name(method: DescMethod) -> str:
    """Returns the name of a method in Python: GetOrder -> get_order, Import -> import_."""
    return escape_public_identifier(snake(method.name), _RESERVED)


def service_constant(service: DescService) -> str:
    """Returns the name of a service's constant: _SERVICE_0 of the first one in its file. Names of services would not
    do, because Orders with a method Admin has the words of OrdersAdmin.
    """
    return f"_SERVICE_{service.file.services.index(service)}"


def method_constant(method: DescMethod) -> str:
    """Returns the name of a method's constant: GetOrder of a file's first service -> _SERVICE_0_GET_ORDER."""
    return f"{service_constant(method.parent)}_{snake(method.name).upper()}"


def snake(name: str) -> str:
    """Converts UpperCamelCase to snake_case; an acronym counts as one word: GetHTTPBody -> get_http_body."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
