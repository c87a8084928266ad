"""The names of a message's fields in the keys of query parameters."""

import re

from protobuf import DescField, DescMessage

from edge.protojson.fields import fields_by_name
from edge.protojson.violations import InvalidValue

_PLAIN_NAME = re.compile(r"[^.\[\]]+")


class ParameterNames:
    """The names of one message's fields, in camelCase and in snake_case."""

    def __init__(self, message: DescMessage) -> None:
        self._names = fields_by_name(message)
        with_punctuation = (name for name in self._names if not _PLAIN_NAME.fullmatch(name))
        self._with_punctuation = sorted(with_punctuation, key=len, reverse=True)

    def longest_prefix(self, text: str) -> tuple[str, DescField]:
        """Returns the longest name that the text begins with, and its field. Raises InvalidValue if there is none."""
        for name in self._with_punctuation:
            if text.startswith(name) and text[len(name) : len(name) + 1] in ("", ".", "["):
                return name, self._names[name]
        found = _PLAIN_NAME.match(text)
        field = self._names.get(found[0]) if found is not None else None
        if found is None or field is None:
            raise unknown_parameter()
        return found[0], field


def unknown_parameter() -> InvalidValue:
    """Returns the error of a key that names no parameter."""
    return InvalidValue("is not a parameter of this method", "FIELD_UNKNOWN")
