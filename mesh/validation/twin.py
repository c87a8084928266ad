"""A twin of a message type whose fields have no JSON names of their own.

protovalidate keeps proto names and JSON names in one namespace, and refuses every message of a proto3 file in which the
JSON name of one field is the proto name of another. Rules name fields by their proto names only, so the twin has the
same rules.
"""

from collections.abc import Iterator

from protobuf import DescMessage, Message
from protobuf.wkt import FileDescriptorProto, FileDescriptorSet
from protobuf.wkt.google.protobuf.descriptor_pb import DescriptorProto

from mesh.contract.descriptors import with_imports


def twin_of(message: DescMessage) -> DescMessage | None:
    """Returns the twin, which has the same wire format; None if no names clash in the files that declare the message
    and what it holds.
    """
    files = [FileDescriptorProto.from_binary(file.proto.to_binary()) for file in with_imports([message.file]).values()]
    declared = [each for file in files for each in _messages(file)]
    if not any(map(_has_clash, declared)):
        return None
    for each in declared:
        for field in each.field:
            field.json_name = field.name
    found = FileDescriptorSet(file=files).to_registry().message(message.type_name)
    assert found is not None, "the same files declare it"
    return found


def as_twin(message: Message, twin: DescMessage) -> Message:
    """Returns a copy of the message as its twin."""
    return twin.type.from_binary(message.to_binary())


def _messages(file: FileDescriptorProto) -> Iterator[DescriptorProto]:
    """Every message that a file declares, nested ones too."""
    waiting = list(file.message_type)
    while waiting:
        message = waiting.pop()
        yield message
        waiting += message.nested_type


def _has_clash(message: DescriptorProto) -> bool:
    names = {field.name for field in message.field}
    return any(field.json_name in names and field.json_name != field.name for field in message.field)
