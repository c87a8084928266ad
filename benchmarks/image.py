"""A descriptor image of the size of a large provider's public APIs: `python -m benchmarks.image FILE`.

1,750 services of 8 methods each, 14,000 rules, 19 MB. As there, each service has its own package, its resource its own
file, all import the same common files, and everything has a comment.
"""

import re
import sys
from pathlib import Path
from typing import Final

from google.api import annotations_pb2  # type: ignore[import-untyped] # has no stubs
from google.protobuf import field_mask_pb2, timestamp_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

SERVICES: Final = 1750
FIELDS: Final = 20

_WELL_KNOWN: Final = (timestamp_pb2.DESCRIPTOR.name, field_mask_pb2.DESCRIPTOR.name)
_WORDS: Final = ("display", "network", "region", "quota", "policy", "backup", "service", "storage", "release", "owner")
_COMMENT: Final = " What this is for, and which values it may have.\n"

# The kinds of methods: the HTTP method, the template with the resource's name or its collection's, the body.
_PARENT: Final = "projects/*/locations/*"
_RULES: Final = {
    "Get": ("get", "/v1/{name=NAME}", ""),
    "List": ("get", "/v1/{parent=PARENT}/COLLECTION", ""),
    "Create": ("post", "/v1/{parent=PARENT}/COLLECTION", "resource"),
    "Update": ("patch", "/v1/{resource.name=NAME}", "resource"),
    "Delete": ("delete", "/v1/{name=NAME}", ""),
    "Start": ("post", "/v1/{name=NAME}:start", "*"),
    "Export": ("post", "/v1/{name=NAME}:export", "*"),
    "Search": ("get", "/v1/{parent=PARENT}/COLLECTION:search", ""),
}


def make() -> FileDescriptorSet:
    """Returns the image."""
    image = FileDescriptorSet()
    annotations = annotations_pb2.DESCRIPTOR
    for file in (*annotations.dependencies, annotations, timestamp_pb2.DESCRIPTOR, field_mask_pb2.DESCRIPTOR):
        file.CopyToProto(image.file.add())
    for number in range(SERVICES):
        package = f"cloud.area{number % 40:02}.product{number:04}.v1"
        folder = package.replace(".", "/")
        _resource_file(image.file.add(), package, f"{folder}/resources.proto", number)
        _service_file(image.file.add(), package, f"{folder}/service.proto", number)
    return image


def _resource_file(file: FileDescriptorProto, package: str, name: str, number: int) -> None:
    _begin(file, package, name, _WELL_KNOWN)
    resource = _message(file, f"Resource{number}")
    _field(resource, "name", FieldDescriptorProto.TYPE_STRING)
    for index in range(FIELDS):
        word = f"{_WORDS[index % len(_WORDS)]}_{_WORDS[(index + number) % len(_WORDS)]}_{index}"
        _field(resource, word, FieldDescriptorProto.TYPE_STRING if index % 3 else FieldDescriptorProto.TYPE_INT64)
    _field(resource, "create_time", FieldDescriptorProto.TYPE_MESSAGE, ".google.protobuf.Timestamp")
    for index in range(3):
        nested = resource.nested_type.add(name=f"Settings{index}")
        for word in _WORDS:
            _field(nested, f"{word}_setting", FieldDescriptorProto.TYPE_BOOL)
        type_name = f".{package}.{resource.name}.{nested.name}"
        _field(resource, f"settings_{index}", FieldDescriptorProto.TYPE_MESSAGE, type_name)
    states = resource.enum_type.add(name="State")
    for index, word in enumerate(("unspecified", *_WORDS)):
        states.value.add(name=f"STATE_{word.upper()}", number=index)
    _field(resource, "state", FieldDescriptorProto.TYPE_ENUM, f".{package}.{resource.name}.State")
    for path in [(4, 0), *((4, 0, 2, index) for index in range(FIELDS))]:
        _comment(file, path)


def _service_file(file: FileDescriptorProto, package: str, name: str, number: int) -> None:
    resources = name.replace("service.proto", "resources.proto")
    _begin(file, package, name, ("google/api/annotations.proto", *_WELL_KNOWN, resources))
    service = file.service.add(name=f"Product{number}")
    _comment(file, (6, 0))
    collection = f"resource{number}s"
    names = {"NAME": f"{_PARENT}/{collection}/*", "PARENT": _PARENT, "COLLECTION": collection}
    for index, (kind, (http_method, template, body)) in enumerate(_RULES.items()):
        request = _message(file, f"{kind}Resource{number}Request")
        for field in ("name", "parent", "filter", "page_token", "request_id"):
            _field(request, field, FieldDescriptorProto.TYPE_STRING)
        _field(request, "page_size", FieldDescriptorProto.TYPE_INT32)
        _field(request, "resource", FieldDescriptorProto.TYPE_MESSAGE, f".{package}.Resource{number}")
        _field(request, "update_mask", FieldDescriptorProto.TYPE_MESSAGE, ".google.protobuf.FieldMask")
        method = service.method.add(name=f"{kind}Resource{number}")
        method.input_type, method.output_type = f".{package}.{request.name}", f".{package}.Resource{number}"
        rule = method.options.Extensions[annotations_pb2.http]
        rule.body = body
        setattr(rule, http_method, re.sub("[A-Z]+", lambda found: names[found[0]], template))
        for location in ((6, 0, 2, index), (4, index), *((4, index, 2, field) for field in range(2))):
            _comment(file, location)


def _begin(file: FileDescriptorProto, package: str, name: str, imports: tuple[str, ...]) -> None:
    file.name, file.package, file.syntax = name, package, "proto3"
    file.dependency.extend(imports)


def _message(file: FileDescriptorProto, name: str) -> DescriptorProto:
    return file.message_type.add(name=name)


def _field(
    message: DescriptorProto, name: str, kind: "FieldDescriptorProto.Type.ValueType", type_name: str = ""
) -> None:
    field = message.field.add(name=name, number=len(message.field) + 1, type=kind)
    field.label = FieldDescriptorProto.LABEL_OPTIONAL
    first, *others = name.split("_")
    field.json_name = first + "".join(part.capitalize() for part in others)
    if type_name:
        field.type_name = type_name


def _comment(file: FileDescriptorProto, path: tuple[int, ...]) -> None:
    file.source_code_info.location.add(path=path, span=(1, 2, 3), leading_comments=_COMMENT)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(make().SerializeToString())
