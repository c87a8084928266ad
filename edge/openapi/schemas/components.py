"""The named schemas of a document: https://spec.openapis.org/oas/v3.1.1.html#components-object."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from edge.openapi.json_schema import Schema


class Components:
    """The schemas that were referred to, each made when the document comes to write it."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        """`reserved` are the names of schemas that are made elsewhere."""
        self._names: dict[tuple[str, bool], str] = {}
        self._taken = {_class_name(name) for name in reserved}
        self._waiting: deque[tuple[str, Callable[[], Schema]]] = deque()

    def add(self, name: str, make: Callable[[], Schema], *, is_type: bool = True) -> Schema:
        """Returns a reference to a schema, which is made later. `is_type` says that the contract declares the name;
        otherwise it is the document's own. A name gets a number if a generator would make the same class of another.
        """
        given = self._names.get((name, is_type))
        if given is None:
            given, number = name, 2
            while _class_name(given) in self._taken:
                given, number = f"{name}-{number}", number + 1
            self._taken.add(_class_name(given))
            self._names[name, is_type] = given
            self._waiting.append((given, make))
        return {"$ref": f"#/components/schemas/{given}"}

    def take(self) -> Iterator[tuple[str, Schema]]:
        """Yields the schemas that were added since the last call, and those that these add, with their names."""
        while self._waiting:
            name, make = self._waiting.popleft()
            yield name, make()


def _class_name(name: str) -> str:
    """Returns the letters and digits of a name, in lower case. Generators make the same class of names that share
    them.
    """
    return re.sub("[^A-Za-z0-9]", "", name).lower()
