"""Message types outside of the contracts, for tests of code that must work with any."""

from typing import Any

from protobuf.wkt import FileDescriptorProto, FileDescriptorSet
from protobuf.wkt.google.protobuf.descriptor_pb import DescriptorProto, FieldDescriptorProto, MessageOptions

_Type = FieldDescriptorProto.Type
_Label = FieldDescriptorProto.Label


def _text(name: str, number: int) -> FieldDescriptorProto:
    return FieldDescriptorProto(name=name, number=number, type=_Type.STRING, label=_Label.OPTIONAL)


_LABELS = DescriptorProto(
    name="LabelsEntry", field=[_text("key", 1), _text("value", 2)], options=MessageOptions(map_entry=True)
)
_NOTE = DescriptorProto(
    name="Note",
    field=[
        _text("text", 1),
        _text("request_id", 2),
        FieldDescriptorProto(
            name="labels",
            number=3,
            type=_Type.MESSAGE,
            label=_Label.REPEATED,
            type_name=".meshwright.test.v1.Note.LabelsEntry",
        ),
        FieldDescriptorProto(
            name="replies", number=4, type=_Type.MESSAGE, label=_Label.REPEATED, type_name=".meshwright.test.v1.Note"
        ),
        _text("etag", 5),
    ],
    nested_type=[_LABELS],
)
_OTHER = DescriptorProto(
    name="Other",
    field=[
        _text("text", 1),
        FieldDescriptorProto(
            name="note", number=2, type=_Type.MESSAGE, label=_Label.OPTIONAL, type_name=".meshwright.test.v1.Note"
        ),
    ],
)
_FILE = FileDescriptorProto(
    name="meshwright/test/v1/note.proto", package="meshwright.test.v1", syntax="proto3", message_type=[_NOTE, _OTHER]
)
_ELSEWHERE = FileDescriptorProto(
    name="acme/test/v1/sale.proto",
    package="acme.test.v1",
    syntax="proto3",
    message_type=[DescriptorProto(name="Sale", field=[_text("text", 1)])],
)
_REGISTRY = FileDescriptorSet(file=[_FILE, _ELSEWHERE]).to_registry()


def _message_type(name: str) -> Any:
    desc = _REGISTRY.message(name)
    assert desc is not None
    return desc.type


Note = _message_type("meshwright.test.v1.Note")
"""text, request_id, etag: string; labels: map of strings; replies: repeated Note."""

Other = _message_type("meshwright.test.v1.Other")
"""text: string; note: Note."""

Sale = _message_type("acme.test.v1.Sale")
"""text: string. Its package is another company's."""

NESTED = b"\x7b" * 200 + b"\x7c" * 200
"""Groups inside each other in a field that no type has, 15: valid, but too deep for the parser."""
