"""Field paths in the spelling that the client used.

Validation rules and services use proto names, `order.unit_price`. A client that writes JSON knows the field as
`order.unitPrice`, unless it sent the proto name itself, or as `unitPrice` if the body is the order.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from protobuf import DescField, DescMessage

from edge.protojson.fields import find_by_proto_name, find_field
from edge.protojson.violations import BODY
from mesh.contract.descriptors import inner_message
from mesh.errors import FieldViolation, MeshError

_INDEX = re.compile(r"^\[\d+\]\.?")
_TEXT_INDEX = re.compile(r"\[\d+\]: ")
_PART = re.compile(r'\.?(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<subscript>\[(?:"(?:[^"\\]|\\.)*"|[^\]"]*)\])')


def json_path(fields: tuple[DescField, ...]) -> str:
    """Returns the path of nested fields in JSON names."""
    return ".".join(field.json_name for field in fields)


def proto_path(fields: tuple[DescField, ...]) -> str:
    """Returns the path of nested fields in proto names, which contain no dots and are unique, unlike JSON names."""
    return ".".join(field.name for field in fields)


@dataclass(frozen=True, slots=True)
class ClientPaths:
    """The paths of fields in the errors of one route.

    If the body is a field of the request, paths inside of it begin at the body, because the client knows no name of
    it: `lines[0].quantity`, not `order.lines[0].quantity`. Those of the path's variables, `in_path`, keep their names.
    """

    request: DescMessage
    body: DescField | None = None
    in_path: frozenset[str] = frozenset()
    """The variables of the path, in proto names."""

    def spelled(self, violation: FieldViolation, proto_names_used: Collection[str]) -> FieldViolation:
        """Returns the violation with its path in the client's spelling, or unchanged if the path is not in the request.

        `proto_names_used` are the proto names that the client sent instead of JSON names.
        """
        path = self._path(violation.field, proto_names_used)
        return violation if path is None else replace(violation, field=path.whole)

    def shown(self, violation: FieldViolation, proto_names_used: Collection[str]) -> FieldViolation:
        """Returns the violation as spelled(), with a path that begins at the body."""
        path = self._path(violation.field, proto_names_used)
        return violation if path is None else replace(violation, field=self._from_body(path))

    def show(self, error: MeshError, proto_names_used: Collection[str]) -> MeshError:
        """Returns a service's error with the violations that shown() returns, and the name of the first in its text."""
        received = error.violations
        error.violations = tuple(self.shown(each, proto_names_used) for each in received)
        if received:
            error.message = _renamed(error.message, received[0].field, error.violations[0].field)
        return error

    def _path(self, text: str, proto_names_used: Collection[str]) -> "_Path | None":
        """Returns the path in the client's spelling, None if it is not in the request."""
        spelled, at = "", 0
        begin = first_end = 0
        fields: list[DescField] = []
        message: DescMessage | None = self.request
        while at < len(text):
            part = _PART.match(text, at)
            if part is None:
                return None
            if part["name"]:
                field = find_by_proto_name(message, part["name"]) if message is not None else None
                if field is None and message is not None:
                    field = find_field(message, part["name"])  # some services report JSON names
                if field is None or message is None:
                    return None
                is_own = field.name in proto_names_used and find_field(message, field.name) is field
                name = field.name if is_own else field.json_name
                begin = begin if fields else len(spelled)
                spelled += f".{name}" if spelled else name
                first_end = first_end if fields else len(spelled)
                fields.append(field)
                message = inner_message(field)
            else:
                spelled += part["subscript"]
            at = part.end()
        return _Path(spelled, tuple(fields), begin, first_end)

    def _from_body(self, path: "_Path") -> str:
        if not path.fields or path.fields[0] is not self.body or proto_path(path.fields) in self.in_path:
            return path.whole
        index, inside = path.whole[: path.begin], path.whole[path.first_end :]
        return index + inside if index else inside.removeprefix(".") or BODY


@dataclass(frozen=True, slots=True)
class _Path:
    """A path in the client's spelling. `begin` and `first_end` are the ends of its first name, which stands after an
    index if the request is a stream.
    """

    whole: str
    fields: tuple[DescField, ...]
    begin: int
    first_end: int


def _renamed(text: str, old: str, new: str) -> str:
    """Returns a text in which the field that it begins with, after the index of a message, has another name."""
    old, new = _INDEX.sub("", old), _INDEX.sub("", new)
    index = _TEXT_INDEX.match(text)
    start = index.end() if index is not None else 0
    return f"{text[:start]}{new}{text[start + len(old) :]}" if text.startswith(f"{old}:", start) else text
