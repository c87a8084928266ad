"""A twin of a message type whose fields have no JSON names of their own.

protovalidate keeps proto names and JSON names in one namespace, and refuses a message in which the JSON name of one
field is the proto name of another. Rules name fields by their proto names only, so the twin has the same rules.
"""

from collections.abc import Iterator

from protobuf import DescFile, DescMessage, Message
from protobuf.wkt import FileDescriptorProto, FileDescriptorSet


def twin_of(message: DescMessage) -> DescMessage:
    """Returns the twin; it has the same wire format."""
    files = {file.name: file.proto for file in _with_imports(message.file)}
    twin = FileDescriptorSet(file=[_without_json_names(file) for file in files.values()]).to_registry()
    found = twin.message(message.type_name)
    assert found is not None, "the same files declare it"
    return found


def as_twin(message: Message, twin: DescMessage) -> Message:
    """Returns a copy of the message as its twin."""
    return twin.type.from_binary(message.to_binary())


def _with_imports(file: DescFile) -> Iterator[DescFile]:
    """The file, after all that it imports."""
    for imported in file.dependencies:
        yield from _with_imports(imported)
    yield file


def _without_json_names(file: FileDescriptorProto) -> FileDescriptorProto:
    copy = FileDescriptorProto.from_binary(file.to_binary())
    waiting = list(copy.message_type)
    while waiting:
        message = waiting.pop()
        for field in message.field:
            field.json_name = field.name
        waiting += message.nested_type
    return copy
