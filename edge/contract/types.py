"""The types of a descriptor image, each built when it is first asked for.

To build all that a large public API declares takes seconds and half a gigabyte; of 14,000 methods a process calls few.
google.protobuf's parser skims an image in a tenth of a second, which is enough to know what is declared in which file.
"""

from collections.abc import Iterable, Iterator
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
KNOWN_EVERYWHERE: Final = Registry(*(each.desc() for each in (*_WELL_KNOWN, error_details_pb, status_pb)))
"""What an Any may hold though no contract imports it: the well-known types, and google.rpc's errors."""


def messages_in(file: FileDescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
    """Every message of a file, nested ones too, with its full name."""
    waiting = [(_full_name(file.package, message.name), message) for message in file.message_type]
    while waiting:
        name, message = waiting.pop()
        yield name, message
        waiting.extend((f"{name}.{nested.name}", nested) for nested in message.nested_type)


class Types(Registry):  # type: ignore[misc] # the library looks types up by these methods, and takes what they give
    """All types of an image. A file is built, after those that it imports, when one of its types is looked up."""

    def __init__(self, image: FileDescriptorSet) -> None:
        """Raises InvalidArgument if an import is missing, if two files have one name, or if a file's edition is newer
        than what is known here.
        """
        super().__init__()
        self._unbuilt: dict[str, bytes] = {}
        self._imports: dict[str, tuple[str, ...]] = {}
        self._declared_in: dict[str, str] = {}
        extensions: list[tuple[str, str]] = []
        for file in image.file:
            content = file.SerializeToString()
            if self._unbuilt.setdefault(file.name, content) != content:
                raise InvalidArgument(f"The contracts hold two different files named {file.name}.")
            if file.edition > maximum_supported_edition.value:
                raise InvalidArgument(f"{file.name} is of an edition that is not known here yet.")
            self._imports[file.name] = tuple(file.dependency)
            for declared in (file.message_type, file.enum_type, file.service, file.extension):
                self._declared_in.update((_full_name(file.package, each.name), file.name) for each in declared)
            scopes: list[FileDescriptorProto | DescriptorProto] = [file, *(each for _, each in messages_in(file))]
            for scope in scopes:
                extensions += [(each.extendee[1:], file.name) for each in scope.extension]
        self._check_imports()
        # Who reads a message must know its extensions, wherever they are declared.
        self._extended_by: dict[str, list[str]] = {}
        for extendee, name in extensions:
            self._extended_by.setdefault(self.file_of(extendee), []).append(name)

    def files_importing(self, name: str) -> frozenset[str]:
        """The files that import this one, also by way of others, and itself."""
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
        """The name of the file that declares a type, empty if none does. Nested ones are where the outermost is."""
        while type_name:
            if (file := self._declared_in.get(type_name)) is not None:
                return file
            type_name = type_name.rpartition(".")[0]
        return ""

    def file(self, path: str) -> DescFile | None:
        """A file by its name."""
        self._build(path)
        return super().file(path)

    def message(self, type_name: str) -> DescMessage | None:
        """A message by its full name, also one that is known everywhere."""
        self._build(self.file_of(type_name))
        return super().message(type_name) or KNOWN_EVERYWHERE.message(type_name)

    def enum(self, type_name: str) -> DescEnum | None:
        """An enum by its full name."""
        self._build(self.file_of(type_name))
        return super().enum(type_name)

    def service(self, type_name: str) -> DescService | None:
        """A service by its full name."""
        self._build(self.file_of(type_name))
        return super().service(type_name)

    def extension(self, type_name: str) -> DescExtension | None:
        """An extension by its full name."""
        self._build(self.file_of(type_name))
        return super().extension(type_name)

    def __iter__(self) -> Iterator[DescFile | DescMessage | DescEnum | DescExtension | DescService]:
        for name in self._imports:
            self._build(name)
        return super().__iter__()

    def add(self, *args: Any) -> None:
        """Adds what was built. The library's own way adds a file's imports again with every file."""
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
        """Builds a file: first what it imports, afterwards what extends its messages."""
        waiting, entered = [name], set()
        while waiting:
            at = waiting[-1]
            if at in self._unbuilt and at not in entered:
                entered.add(at)
                waiting += self._imports[at]
                continue
            waiting.pop()
            if at in self._unbuilt:
                file = _without_bare_locations(File.from_binary(self._unbuilt.pop(at)))
                add_file(self, _with_json_names(file), {})
                _put_first_names_last(self._files[at])
                waiting[:0] = self._extended_by.get(at, ())


def _without_bare_locations(file: File) -> File:
    """The file without the source locations that have no comment, which nothing asks for: in memory they are two thirds
    of most files.
    """
    if file.source_code_info is not None:
        file.source_code_info.location = [
            each
            for each in file.source_code_info.location
            if each.leading_comments or each.trailing_comments or each.leading_detached_comments
        ]
    return file


def _full_name(package: str, name: str) -> str:
    return f"{package}.{name}" if package else name


def json_name(name: str) -> str:
    """The name in JSON of a field that the contract gives none of its own, as protoc makes it."""
    first, *others = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in others)


def json_name_owners(names: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns the proto name of the field that has each JSON name, of (JSON name, proto name) pairs: the field whose
    proto name it is, or else the last declared, as for google.protobuf.json_format.
    """
    owners: dict[str, str] = {}
    for json, proto in names:
        if owners.get(json) != json:
            owners[json] = proto
    return owners


def _put_first_names_last(file: DescFile) -> None:
    """Reverses the values of each number that has several names. protobuf-py writes the last of them in JSON, where
    google.protobuf.json_format and all others write the first declared.
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
        values = cast("list[DescEnumValue]", enum.values)  # a list, which the types built from it read only once
        values[:] = [by_number[value.number].pop() for value in values]


def _with_json_names(file: File) -> File:
    """The file with what compilers add for plugins, but not to what servers carry along for reflection. Of fields with
    one JSON name, which proto2 allows, one has it and the others keep their proto names, so that none is lost.
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
