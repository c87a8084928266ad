"""Query parameters that every method takes: https://cloud.google.com/apis/docs/system-parameters.

`$alt` selects the format of the response, `$fields` the fields in it, `$prettyPrint` its indentation. Older clients
send the names without `$`. A field of the method with one of these names takes precedence.
"""

from dataclasses import dataclass
from typing import Final

from protobuf import DescMessage

from edge.bind.query_string import split_query
from edge.protojson.fields import find_field
from edge.protojson.violations import InvalidValue, Violations

ALT: Final = "$alt"
FIELDS: Final = "$fields"
PRETTY_PRINT: Final = "$prettyPrint"

PROTO: Final = "proto"

_FORMS: Final = ("json", "media", PROTO, "sse")
_ENUM_ENCODINGS: Final = {"enum-encoding=int": True, "enum-encoding=string": False}
_BOOLEANS: Final = {"true": True, "1": True, "": True, "false": False, "0": False}


@dataclass(slots=True)
class SystemParameters:
    """The response that a client asked for. `alt` is one of json, media, proto and sse, or "" if it names none;
    `enums_as_numbers` is None if the edge's own setting applies.
    """

    alt: str = ""
    enums_as_numbers: bool | None = None
    fields: str = ""
    pretty_print: bool = False

    def set(self, name: str, value: str) -> None:
        """Sets a parameter by its name with `$`. Raises InvalidValue if the value is not one that the parameter has."""
        if name == FIELDS:
            self.fields = value
        elif name == PRETTY_PRINT:
            if value not in _BOOLEANS:
                raise InvalidValue("must be true or false")
            self.pretty_print = _BOOLEANS[value]
        else:
            self.alt, _, encoding = value.partition(";")
            if self.alt not in _FORMS or (encoding and encoding not in _ENUM_ENCODINGS):
                raise InvalidValue(f"must be one of {', '.join(_FORMS)}; json may be followed by ;enum-encoding=int")
            self.enums_as_numbers = _ENUM_ENCODINGS.get(encoding)


NO_SYSTEM_PARAMETERS: Final = SystemParameters()


class SystemParameterReader:
    """The reader of system parameters in the queries of one method."""

    def __init__(self, request_type: DescMessage) -> None:
        names = tuple(name for name in (ALT, FIELDS, PRETTY_PRINT) if find_field(request_type, name) is None)
        bare = {name[1:]: name for name in names if find_field(request_type, name[1:]) is None}
        self._names = {**{name: name for name in names}, **bare}
        self._hints = (b"$", b"%24", *(name.encode() for name in bare))

    def take(self, query: bytes) -> tuple[SystemParameters, bytes]:
        """Returns the system parameters and the query without them. Raises InvalidArgument if one is invalid."""
        if not query or not any(hint in query for hint in self._hints):
            return NO_SYSTEM_PARAMETERS, query
        found, rest, violations = SystemParameters(), [], Violations()
        given: set[str] = set()
        for piece in query.split(b"&"):
            name = self._names.get(piece.partition(b"=")[0].replace(b"%24", b"$").decode("latin-1"), "")
            if not name:
                rest.append(piece)
                continue
            for _, value in split_query(piece, violations):
                try:
                    if name in given:
                        raise InvalidValue("is given more than once", "FIELD_GIVEN_TWICE")  # noqa: TRY301 # noted with the rest
                    given.add(name)
                    found.set(name, value)
                except InvalidValue as wrong:
                    violations.add(name, wrong)
        violations.raise_if_any()
        return found, b"&".join(rest)
