"""A twin of a message type whose fields have no JSON names of their own.

protovalidate keeps proto names and JSON names in one namespace, and refuses a message of proto3 in which the JSON name
of one field is the proto name of another. Rules name fields by their proto names only, so the twin has the same rules.
"""

from collections.abc import Iterator

from protobuf import DescFieldValueList, DescFieldValueMap, DescFieldValueMessage, DescFile, DescMessage, Message
from protobuf.wkt import FileDescriptorProto, FileDescriptorSet


def twin_of(message: DescMessage) -> DescMessage | None:
    """Returns the twin, which has the same wire format; None if no names clash in the message or in what it holds."""
    if not any(map(_has_clash, _with_held(message))):
        return None
    files = [_without_json_names(file.proto) for file in _with_imports(message.file)]
    twin = FileDescriptorSet(file=files).to_registry()
    found = twin.message(message.type_name)
    assert found is not None, "the same files declare it"
    return found


def as_twin(message: Message, twin: DescMessage) -> Message:
    """Returns a copy of the message as its twin."""
    return twin.type.from_binary(message.to_binary())


def _has_clash(message: DescMessage) -> bool:
    names = {field.name for field in message.fields}
    return any(field.json_name in names and field.json_name != field.name for field in message.fields)


def _with_held(message: DescMessage) -> Iterator[DescMessage]:
    """The message, and all that it can hold."""
    waiting, seen = [message], {message.type_name}
    while waiting:
        at = waiting.pop()
        yield at
        for field in at.fields:
            match field.value:
                case (
                    DescFieldValueMessage(message=held)
                    | DescFieldValueList(element=DescMessage() as held)
                    | DescFieldValueMap(value=DescMessage() as held)
                ) if held.type_name not in seen:
                    seen.add(held.type_name)
                    waiting.append(held)


def _with_imports(file: DescFile) -> list[DescFile]:
    """The file, after all that it imports."""
    found: dict[str, DescFile] = {}

    def add(at: DescFile) -> None:
        if at.name not in found:
            for imported in at.dependencies:
                add(imported)
            found[at.name] = at

    add(file)
    return list(found.values())


def _without_json_names(file: FileDescriptorProto) -> FileDescriptorProto:
    copy = FileDescriptorProto.from_binary(file.to_binary())
    waiting = list(copy.message_type)
    while waiting:
        message = waiting.pop()
        for field in message.field:
            field.json_name = field.name
        waiting += message.nested_type
    return copy
