"""The contract of benchmarks/unary.proto as descriptor images, and messages of it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import grpc_tools  # type: ignore[import-untyped] # has no stubs
from google.api import annotations_pb2  # type: ignore[import-untyped] # has no stubs
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet
from grpc_tools import protoc

from benchmarks.program import ROOT

PACKAGE: Final = "bench.unary.v1"
FILE: Final = "unary.proto"
_POLICY_FILES: Final = ("buf/validate/validate.proto", "meshwright/policy/v1/policy.proto")


def compile_image(folder: Path) -> Path:
    """Compiles the contract and returns its descriptor image."""
    image = folder / "unary.binpb"
    imports = [ROOT / "benchmarks", ROOT / "proto", ROOT / "third_party", Path(grpc_tools.__file__).parent / "_proto"]
    options = ["--include_imports", f"--descriptor_set_out={image}", *(f"-I{each}" for each in imports)]
    if protoc.main(["protoc", *options, FILE]):
        sys.exit("protoc says why above")
    return image


def without_policies(image: bytes) -> bytes:
    """Returns a descriptor image without the policies of methods and the rules of fields. Those of HTTP stay."""
    assert annotations_pb2.http.number, "options that this program does not know are removed, and it knows these"
    files = FileDescriptorSet.FromString(image)
    kept = [file for file in files.file if file.name not in _POLICY_FILES]
    for file in kept:
        dependencies = [name for name in file.dependency if name not in _POLICY_FILES]
        del file.dependency[:]
        file.dependency.extend(dependencies)
        for service in file.service:
            for method in service.method:
                method.options.DiscardUnknownFields()
        for message in file.message_type:
            _remove_rules(message)
    return FileDescriptorSet(file=kept).SerializeToString()


def _remove_rules(message: DescriptorProto) -> None:
    for field in message.field:
        field.options.DiscardUnknownFields()
    for nested in message.nested_type:
        _remove_rules(nested)


def encode(image: bytes, method: str, answer: Mapping[str, Any]) -> bytes:
    """Returns the answer of a method as it goes over the wire, from its JSON."""
    pool = descriptor_pool.DescriptorPool()
    for file in FileDescriptorSet.FromString(image).file:
        pool.Add(file)
    output = pool.FindServiceByName(f"{PACKAGE}.UnaryService").FindMethodByName(method).output_type
    message = message_factory.GetMessageClass(output)()
    return json_format.ParseDict(dict(answer), message).SerializeToString()
