"""Copies of message types in which each field has its proto name as its JSON name.

protovalidate keeps proto names and JSON names in one namespace, and rejects every message of a proto3 file in which the
JSON name of one field is the proto name of another. Rules refer to fields by their proto names only, so the copy has
the same rules.
"""

from collections.abc import Iterator

from protobuf import DescMessage, Message
from protobuf.wkt import FileDescriptorProto, FileDescriptorSet
from protobuf.wkt.google.protobuf.descriptor_pb import DescriptorProto

from mesh.contract.descriptors import with_imports


def with_proto_names(message: DescMessage) -> DescMessage | None:
    """Returns the copy of a type, which has the same wire format; None if no names clash in the file of the message or
    in its imports.
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


def converted(message: Message, desc: DescMessage) -> Message:
    """Returns a copy of the message whose type is this copy of its type."""
    return desc.type.from_binary(message.to_binary())


def _messages(file: FileDescriptorProto) -> Iterator[DescriptorProto]:
    """Yields every message that a file declares, including nested ones."""
    waiting = list(file.message_type)
    while waiting:
        message = waiting.pop()
        yield message
        waiting += message.nested_type


def _has_clash(message: DescriptorProto) -> bool:
    names = {field.name for field in message.field}
    return any(field.json_name in names and field.json_name != field.name for field in message.field)
