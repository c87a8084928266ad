"""Messages with values in most of their fields, made at random from their descriptors."""

import random
import re
from typing import Any, Final

from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

DEPTH_MAX: Final = 4
_GIVEN: Final = 0.7
"""How likely a field has a value."""

_TEXTS: Final = (
    "a",
    "Ünï",
    "a b",
    "x/y",
    '"q"',
    "%41",
    "a&b=c",
    "1",
    "true",
    "null",
    ";",
    "+",
    "漢字",
    "a\nb",
    "\\",
    "😀",
)
_VALUES: Final[dict[int, tuple[Any, ...]]] = {
    FieldDescriptor.CPPTYPE_BOOL: (True,),
    FieldDescriptor.CPPTYPE_INT32: (1, -(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (1, -(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (1, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (1, 2**64 - 1),
    FieldDescriptor.CPPTYPE_FLOAT: (1.5, -2.25e10, float("-inf")),
    FieldDescriptor.CPPTYPE_DOUBLE: (0.1, -2.25e300, 1e-7, float("inf")),
}


class Filler:
    """Fills messages. The same seed makes the same values."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def fill(self, message: Message, *, as_query: bool = False, depth: int = 0) -> None:
        """Sets most fields; with `as_query` only those that the parameters of a query can give."""
        if self._fill_well_known(message):
            return
        for field in message.DESCRIPTOR.fields:
            oneof = field.containing_oneof
            is_excluded = oneof is not None and message.WhichOneof(oneof.name) is not None
            if not is_excluded and self._random.random() < _GIVEN:
                self._set(message, field, as_query, depth)

    def resource_name(self, template: str) -> str:
        """A name that a template such as "projects/*/files/**" is for."""
        return re.sub(r"\*+", self._segments, template)

    def _segments(self, found: re.Match[str]) -> str:
        segment = f"{self._random.choice('ab.~_Z')}-{self._random.randrange(1000)}"
        return segment if found[0] == "*" else f"{segment}/x y"

    def _set(self, message: Message, field: Any, as_query: bool, depth: int) -> None:
        of, is_deep = field.message_type, depth >= DEPTH_MAX
        if of is not None and (is_deep or (as_query and (field.is_repeated or of.full_name in _NOT_IN_QUERIES))):
            return
        value = getattr(message, field.name)
        if of is not None and of.GetOptions().map_entry:
            self._set_map(value, of, depth)
        elif field.is_repeated and of is not None:
            for _ in range(2):
                self.fill(value.add(), depth=depth + 1)
        elif field.is_repeated:
            value.extend(self._leaf(field) for _ in range(2))
        elif of is not None:
            self.fill(value, as_query=as_query, depth=depth + 1)
            if not as_query:
                value.SetInParent()
        else:
            setattr(message, field.name, self._leaf(field))

    def _set_map(self, values: Any, entry: Any, depth: int) -> None:
        key, value = entry.fields
        for _ in range(2):
            if value.message_type is not None:
                self.fill(values[self._leaf(key)], depth=depth + 1)
            else:
                values[self._leaf(key)] = self._leaf(value)

    def _leaf(self, field: Any) -> Any:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self._random.randbytes(self._random.randrange(1, 9))
        if field.type == FieldDescriptor.TYPE_STRING:
            return f"{self._random.choice(_TEXTS)}{self._random.randrange(100)}"
        if field.enum_type is not None:
            return self._random.choice([value.number for value in field.enum_type.values if value.number] or [0])
        return self._random.choice(_VALUES[field.cpp_type])

    def _fill_well_known(self, message: Any) -> bool:
        """Returns whether the type has a JSON form of its own."""
        match message.DESCRIPTOR.full_name:
            case "google.protobuf.Timestamp":
                message.FromNanoseconds(self._random.choice([1, 1_700_000_000_000_000_000]))
            case "google.protobuf.Duration":
                message.FromNanoseconds(self._random.choice([-1, 1, 3_600_500_000_000]))
            case "google.protobuf.FieldMask":
                message.paths.extend(self._random.sample(["name", "display_name", "a.b_c", "labels"], 2))
            case "google.protobuf.Struct":
                message.update({"a": 1, "b": [True, None, {"c": "d"}]})
            case "google.protobuf.Value":
                message.string_value = self._random.choice(_TEXTS)
            case "google.protobuf.ListValue":
                message.extend([1, "a", False])
            case "google.protobuf.Any":
                packed = Packed()
                packed.Pack(Duration(seconds=3))
                message.CopyFrom(packed)
            case "google.longrunning.Operation":
                message.name = "operations/7"
            case _:
                return False
        return True


_NOT_IN_QUERIES: Final = frozenset(
    f"google.protobuf.{name}" for name in ("Any", "Empty", "ListValue", "Struct", "Value")
)
