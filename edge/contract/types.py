"""The types of a descriptor image, built on first use.

Building all types of a large public API takes seconds and half a gigabyte, but a process calls few of its 14,000
methods. google.protobuf parses an image in a tenth of a second, which is enough to index its declarations by file.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, Final, cast

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet
from googleapis.google.rpc import error_details_pb, status_pb
from protobuf import (
    DescEnum,
    DescEnumValue,
    DescExtension,
    DescFile,
    DescMessage,
    DescService,
    Registry,
    maximum_supported_edition,
)
from protobuf._file_registry import add_file  # to_registry() builds all; this is its step for one file
from protobuf.wkt import FileDescriptorProto as File
from protobuf.wkt.google.protobuf import (
    any_pb,
    duration_pb,
    empty_pb,
    field_mask_pb,
    struct_pb,
    timestamp_pb,
    wrappers_pb,
)

from mesh.errors import InvalidArgument

_WELL_KNOWN = (any_pb, duration_pb, empty_pb, field_mask_pb, struct_pb, timestamp_pb, wrappers_pb)
COMMON_TYPES: Final = Registry(*(each.desc() for each in (*_WELL_KNOWN, error_details_pb, status_pb)))
"""The types that an Any may hold without an import: the well-known types, and the errors of google.rpc."""

_BUILT: Final[dict[tuple[object, ...], DescFile]] = {}
"""The files that this process has built, by the digest of their content and their imports as they were built.
protobuf-py never frees a message class, so that images that share files should share their classes. Nothing is
removed: an image may return. ADR 12 has what a reload costs.
"""


def messages_in(file: FileDescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
    """Yields each message of a file, including nested ones, with its full name."""
    waiting = [(_full_name(file.package, message.name), message) for message in file.message_type]
    while waiting:
        name, message = waiting.pop()
        yield name, message
        waiting.extend((f"{name}.{nested.name}", nested) for nested in message.nested_type)


class LazyTypes(Registry):  # type: ignore[misc] # the library looks up types by these methods
    """A registry of all types of an image. Looking up a type builds its file and the imports of that file."""

    def __init__(self, image: FileDescriptorSet) -> None:
        """Raises InvalidArgument if an import is missing, if two different files have the same name, or if a file uses
        an edition that the library does not support.
        """
        super().__init__()
        self._sources: dict[str, bytes] = {}
        self._imports: dict[str, tuple[str, ...]] = {}
        self._declared_in: dict[str, str] = {}
        extensions: list[tuple[str, str]] = []
        for file in image.file:
            content = file.SerializeToString()
            if self._sources.setdefault(file.name, content) != content:
                raise InvalidArgument(f"The contracts contain two different files named {file.name}.")
            if file.edition > maximum_supported_edition.value:
                raise InvalidArgument(f"{file.name} uses an edition of Protobuf that is not supported yet.")
            self._imports[file.name] = tuple(file.dependency)
            for declared in (file.message_type, file.enum_type, file.service, file.extension):
                self._declared_in.update((_full_name(file.package, each.name), file.name) for each in declared)
            scopes: list[FileDescriptorProto | DescriptorProto] = [file, *(each for _, each in messages_in(file))]
            for scope in scopes:
                extensions += [(each.extendee[1:], file.name) for each in scope.extension]
        self._check_imports()
        self._unbuilt = set(self._sources)
        # Readers of a message need its extensions, which any file may declare.
        self._extended_by: dict[str, list[str]] = {}
        for extendee, name in extensions:
            self._extended_by.setdefault(self.file_of(extendee), []).append(name)

    def files_importing(self, name: str) -> frozenset[str]:
        """Returns the file itself and the files that import it, directly or indirectly."""
        importers: dict[str, list[str]] = {}
        for file, imports in self._imports.items():
            for imported in imports:
                importers.setdefault(imported, []).append(file)
        found, waiting = {name}, [name]
        while waiting:
            new = [each for each in importers.get(waiting.pop(), ()) if each not in found]
            found.update(new)
            waiting += new
        return frozenset(found)

    def file_of(self, type_name: str) -> str:
        """Returns the name of the file that declares a type or its outermost parent, empty if none does."""
        while type_name:
            if (file := self._declared_in.get(type_name)) is not None:
                return file
            type_name = type_name.rpartition(".")[0]
        return ""

    def source(self, path: str) -> FileDescriptorProto:
        """Returns a file as the image declares it, with its comments. It is empty if the image has no such file."""
        return FileDescriptorProto.FromString(self._sources.get(path, b""))

    def file(self, path: str) -> DescFile | None:
        """Returns a file by name."""
        self._build(path)
        return super().file(path)

    def message(self, type_name: str) -> DescMessage | None:
        """Returns a message by its full name, including those of COMMON_TYPES."""
        self._build(self.file_of(type_name))
        return super().message(type_name) or COMMON_TYPES.message(type_name)

    def enum(self, type_name: str) -> DescEnum | None:
        """Returns an enum by its full name."""
        self._build(self.file_of(type_name))
        return super().enum(type_name)

    def service(self, type_name: str) -> DescService | None:
        """Returns a service by its full name."""
        self._build(self.file_of(type_name))
        return super().service(type_name)

    def extension(self, type_name: str) -> DescExtension | None:
        """Returns an extension by its full name."""
        self._build(self.file_of(type_name))
        return super().extension(type_name)

    def __iter__(self) -> Iterator[DescFile | DescMessage | DescEnum | DescExtension | DescService]:
        for name in self._imports:
            self._build(name)
        return super().__iter__()

    def add(self, *args: Any) -> None:
        """Adds descriptors. Unlike the library's method, it does not add a file's imports again with every file."""
        for each in args:
            if isinstance(each, DescFile):
                self._files[each.name] = each
            else:
                super().add(each)

    def _check_imports(self) -> None:
        for name, imports in self._imports.items():
            for imported in imports:
                if imported not in self._imports:
                    raise InvalidArgument(
                        f"The contracts are not complete: {name} imports {imported}, which is missing. Make the image"
                        " with its imports, as `buf build` and `protoc --include_imports` do."
                    )

    def _build(self, name: str) -> None:
        """Builds a file after its imports, and before the files that extend its messages."""
        waiting, entered = [name], set()
        while waiting:
            at = waiting[-1]
            if at in self._unbuilt and at not in entered:
                entered.add(at)
                waiting += self._imports[at]
                continue
            waiting.pop()
            if at in self._unbuilt:
                self._unbuilt.remove(at)  # first, because the file looks up types of its own
                self._add_file(at)
                waiting[:0] = self._extended_by.get(at, ())

    def _add_file(self, name: str) -> None:
        """Adds a file whose imports are built. If an earlier image had the same one, it is added as it was built."""
        content = _without_comments(self.source(name))
        key = (sha256(content).digest(), *(self._files.get(each) for each in self._imports[name]))
        built = _BUILT.get(key)
        if built is not None:
            self.add(built, *built.enums, *built.messages, *built.extensions, *built.services)
            return
        add_file(self, _with_json_names(File.from_binary(content)), {})
        _prefer_first_names(self._files[name])
        _BUILT[key] = self._files[name]


def _without_comments(source: FileDescriptorProto) -> bytes:
    """Returns the file without its source locations, which would use half of its memory."""
    source.ClearField("source_code_info")
    return source.SerializeToString()


def _full_name(package: str, name: str) -> str:
    return f"{package}.{name}" if package else name


def json_name(name: str) -> str:
    """Returns the default JSON name of a field, as protoc derives it from the proto name."""
    first, *others = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in others)


def json_name_owners(names: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Maps each JSON name of (JSON name, proto name) pairs to the proto name of its field: the field with that proto
    name, or else the last one declared, as in google.protobuf.json_format.
    """
    owners: dict[str, str] = {}
    for json, proto in names:
        if owners.get(json) != json:
            owners[json] = proto
    return owners


def _prefer_first_names(file: DescFile) -> None:
    """Reverses the order of enum values that share a number, because protobuf-py writes the last of them in JSON, but
    google.protobuf.json_format and all other implementations write the first.
    """
    enums, waiting = list(file.enums), list(file.messages)
    while waiting:
        message = waiting.pop()
        enums += message.nested_enums
        waiting += message.nested_messages
    for enum in enums:
        if len({value.number for value in enum.values}) == len(enum.values):
            continue
        by_number: dict[int, list[DescEnumValue]] = {}
        for value in enum.values:
            by_number.setdefault(value.number, []).append(value)
        values = cast("list[DescEnumValue]", enum.values)  # a list that the types built from it read once
        values[:] = [by_number[value.number].pop() for value in values]


def _with_json_names(file: File) -> File:
    """Adds the JSON names that compilers pass to plugins but servers omit in reflection. Returns the file.

    If several fields have the same JSON name, which proto2 allows, one keeps it and the others use their proto names.
    """
    waiting = list(file.message_type)
    while waiting:
        message = waiting.pop()
        for field in message.field:
            field.json_name = field.json_name or json_name(field.name)
        owners = json_name_owners((field.json_name, field.name) for field in message.field)
        for field in message.field:
            if owners[field.json_name] != field.name:
                field.json_name = field.name
        waiting.extend(message.nested_type)
    return file
