"""The comments of a contract, by the full names of the elements that they document.

google/protobuf/descriptor.proto, message SourceCodeInfo, defines how an image holds them: by paths of field numbers and
indices into the FileDescriptorProto.
"""

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from edge.contract.types import LazyTypes

# The numbers of the fields that hold elements with comments: in FileDescriptorProto, in DescriptorProto, and so on.
_PACKAGE, _MESSAGE, _ENUM, _SERVICE, _FILE_EXTENSION = 2, 4, 5, 6, 7
_FIELD, _NESTED_MESSAGE, _NESTED_ENUM, _EXTENSION, _ONEOF = 2, 3, 4, 6, 8
_METHOD, _VALUE = 2, 2

# The starts of lines that are for linters and not for readers.
_DIRECTIVES: Final = ("buf:lint:", "(-- api-linter:", "--)", "@exclude")

_Path = tuple[int, ...]


class Comments:
    """The comments of all files. A file is read when one of its comments is first wanted."""

    def __init__(self, types: LazyTypes) -> None:
        self._types = types
        self._by_file: dict[str, dict[str, str]] = {}

    def of(self, name: str) -> str:
        """Returns the comment on an element by its full name, such as "pkg.Message.field", or ""."""
        return self._in_file(self._types.file_of(name)).get(name, "")

    def of_package(self, name: str, file: str) -> str:
        """Returns the comment on the package in the file with this name, or ""."""
        return self._in_file(file).get(name, "")

    def _in_file(self, name: str) -> dict[str, str]:
        found = self._by_file.get(name)
        if found is None:
            found = self._by_file[name] = _comments(self._types.source(name))
        return found


def _comments(file: FileDescriptorProto) -> dict[str, str]:
    locations = file.source_code_info.location
    texts = {tuple(each.path): each.leading_comments or each.trailing_comments for each in locations}
    return {name: _clean(texts[path]) for path, name in _named(file) if texts.get(path)}


def _clean(comment: str) -> str:
    lines = (line.removeprefix(" ").rstrip() for line in comment.splitlines())
    return "\n".join(line for line in lines if not line.strip().startswith(_DIRECTIVES)).strip()


def _named(file: FileDescriptorProto) -> Iterator[tuple[_Path, str]]:
    """Yields the path and the full name of each element that a file declares."""
    scope = f"{file.package}." if file.package else ""
    yield (_PACKAGE,), file.package
    for index, extension in enumerate(file.extension):
        yield (_FILE_EXTENSION, index), scope + extension.name
    for index, message in enumerate(file.message_type):
        yield from _in_message(message, (_MESSAGE, index), scope)
    for index, enum in enumerate(file.enum_type):
        yield from _in_enum(enum, (_ENUM, index), scope)
    for index, service in enumerate(file.service):
        yield (_SERVICE, index), scope + service.name
        for number, method in enumerate(service.method):
            yield (_SERVICE, index, _METHOD, number), f"{scope}{service.name}.{method.name}"


def _in_message(message: Any, path: _Path, scope: str) -> Iterator[tuple[_Path, str]]:
    name = scope + message.name
    yield path, name
    for kind, members in ((_FIELD, message.field), (_EXTENSION, message.extension), (_ONEOF, message.oneof_decl)):
        for index, member in enumerate(members):
            yield (*path, kind, index), f"{name}.{member.name}"
    for index, nested in enumerate(message.nested_type):
        yield from _in_message(nested, (*path, _NESTED_MESSAGE, index), f"{name}.")
    for index, enum in enumerate(message.enum_type):
        yield from _in_enum(enum, (*path, _NESTED_ENUM, index), f"{name}.")


def _in_enum(enum: Any, path: _Path, scope: str) -> Iterator[tuple[_Path, str]]:
    yield path, scope + enum.name
    for index, value in enumerate(enum.value):
        yield (*path, _VALUE, index), f"{scope}{enum.name}.{value.name}"
