"""The private parts of libraries that this code relies on: each works as expected, in a pinned version."""

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from protobuf import Registry
from protobuf.wkt.google.protobuf import empty_pb
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("edge", "local", "mesh", "services", "tools")


@dataclass(frozen=True)
class PrivatePart:
    """A private part of a library. `works` returns whether it still has the form that this code relies on."""

    distribution: str  # empty for the standard library
    name: str
    breaks: str
    works: Callable[[], object]


def names_in(function: Any) -> set[str]:
    """Returns the names of attributes that a function uses, also in the functions inside it."""
    codes: list[CodeType] = [function.__code__]
    names: set[str] = set()
    for code in codes:
        names.update(code.co_names)
        codes += [each for each in code.co_consts if isinstance(each, CodeType)]
    return names


def registered() -> bool:
    """Returns whether a registry finds the file that its _files holds."""
    registry, file = Registry(), empty_pb.desc()
    registry._files[file.name] = file
    return registry.file(file.name) is file


def imported(module: str, *names: str) -> Callable[[], object]:
    """Returns a check that a module still has these names."""
    return lambda: all(hasattr(import_module(module), name) for name in names)


PARTS = [
    PrivatePart(
        "uvicorn",
        "HttpToolsProtocol._should_upgrade",
        "uvicorn would hand every request with Upgrade: websocket to the WebSocket protocol, also one with a body.",
        lambda: "_should_upgrade" in names_in(HttpToolsProtocol.data_received),
    ),
    PrivatePart(
        "uvicorn",
        "HttpToolsProtocol._should_upgrade_to_ws",
        "A handshake would be answered with 400 in every server, also in one that serves WebSockets.",
        lambda: list(signature(HttpToolsProtocol._should_upgrade_to_ws).parameters) == ["self"],
    ),
    PrivatePart(
        "protobuf-py",
        "Registry._files",
        "A file that is built on first use would not be found, and every call of its methods would fail.",
        registered,
    ),
    PrivatePart(
        "protobuf-py",
        "protobuf._file_registry",
        "No file of a contract could be built on first use, and the edge would not start.",
        lambda: len(signature(import_module("protobuf._file_registry").add_file).parameters) == 3,
    ),
    PrivatePart(
        "protovalidate",
        "protovalidate._gen.buf.validate",
        "A folder of .proto files with an import of buf/validate/validate.proto could not be compiled.",
        imported("protovalidate._gen.buf.validate.validate_pb", "desc"),
    ),
    PrivatePart(
        "protovalidate",
        "protovalidate._gen.buf.validate.validate_pb",
        "No rule of a contract could be read: neither limits on lists, nor the constraints of the OpenAPI document.",
        imported("protovalidate._gen.buf.validate.validate_pb", "FieldRules", "ext_field", "ext_oneof"),
    ),
    PrivatePart(
        "grpcio",
        "Call._cython_call",
        "Every client stream would fail; write() in its place replaces the workload's status by an internal error.",
        lambda: "_cython_call" in names_in(import_module("grpc.aio._call").Call.__init__),
    ),
    PrivatePart(
        "grpcio",
        "_AioCall.send_serialized_message",
        "Every client stream would fail at its first message.",
        lambda: callable(import_module("grpc._cython.cygrpc")._AioCall.send_serialized_message),
    ),
    PrivatePart(
        "",
        "re",
        "The OpenAPI document would have no examples for values with a pattern.",
        lambda: imported("re._parser", "parse")() and imported("re._constants", "LITERAL", "MAX_REPEAT")(),
    ),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_private_part_works_as_expected(part: PrivatePart) -> None:
    """A library that changed a private part fails here, with a sentence about what breaks."""
    assert part.works(), part.breaks


@pytest.mark.parametrize("distribution", sorted({part.distribution for part in PARTS} - {""}))
def test_a_library_with_private_parts_is_pinned(distribution: str) -> None:
    """Only a change of requirements.txt can bring another version, and the installed version is that one."""
    pinned = re.findall(rf"^{re.escape(distribution)}==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned == [version(distribution)]


def test_every_private_import_is_in_the_table() -> None:
    """A new import from a private module of a library needs an entry that says what would break."""
    known = {part.name for part in PARTS}
    private = {
        name for package in PACKAGES for file in (ROOT / package).rglob("*.py") for name in private_imports(file)
    }
    assert private - known == set()


def private_imports(file: Path) -> set[str]:
    """Returns the modules of private names that a file imports from libraries."""
    nodes = ast.walk(ast.parse(file.read_text()))
    imports = {
        (node.module, name.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module
        for name in node.names
        if node.module != "__future__"
    }
    return {
        module
        for module, name in imports
        if module.split(".")[0] not in PACKAGES
        and any(part.startswith("_") for part in (*module.split("."), name) if not part.startswith("__"))
    }
