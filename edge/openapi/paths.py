"""Path templates as OpenAPI has them: each variable takes up one segment."""

from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from edge.contract import Route
from edge.path_template import REST, Variable


@dataclass(frozen=True, slots=True)
class PathParameter:
    """A segment that a client fills in. `variable` is the index of the rule's variable that it belongs to, if any."""

    name: str
    variable: int | None
    may_have_slashes: bool


@dataclass(frozen=True, slots=True)
class OpenApiPath:
    """A path. `shape` is its text without the parameters' names: two paths of one shape are the same to OpenAPI."""

    text: str
    shape: str
    parameters: tuple[PathParameter, ...]


def openapi_path(route: Route) -> OpenApiPath:
    """`/v1/{name=shelves/*/books/*}:read` is `/v1/shelves/{shelf}/books/{book}:read`."""
    template = route.template
    text, shape = "", ""
    parameters: list[PathParameter] = []
    used: Counter[str] = Counter()
    for index, (segment, literal) in enumerate(zip(template.segments, template.literal, strict=True)):
        if literal:
            text, shape = f"{text}/{_escape(segment)}", f"{shape}/{_escape(segment)}"
            continue
        name = _unique(_name(route, index), used)
        parameters.append(PathParameter(name, _owner(template.variables, index), segment == REST))
        text, shape = f"{text}/{{{name}}}", f"{shape}/{{}}"
    verb = f":{_escape(template.verb)}" if template.verb else ""
    return OpenApiPath(text + verb, shape + verb, tuple(parameters))


def _escape(literal: str) -> str:
    return quote(literal, safe="-._~!$&'()*+,;=:@")


def _owner(variables: tuple[Variable, ...], index: int) -> int | None:
    owners: list[Any] = [number for number, each in enumerate(variables) if each.start <= index < each.end]
    return owners[0] if owners else None


def _name(route: Route, index: int) -> str:
    """A variable of one segment is named after its field, a part of a longer one after the collection before it."""
    template = route.template
    owner = _owner(template.variables, index)
    if owner is not None and template.variables[owner].end - template.variables[owner].start == 1:
        return "_".join(field.json_name for field in route.variables[owner])
    if index > 0 and template.literal[index - 1]:
        return _singular(template.segments[index - 1])
    return "segment"


def _singular(collection: str) -> str:
    """shelves -> shelf is beyond us; books -> book, categories -> category."""
    if collection.endswith("ies"):
        return f"{collection[:-3]}y"
    return collection[:-1] if collection.endswith("s") and not collection.endswith("ss") else collection


def _unique(name: str, used: Counter[str]) -> str:
    used[name] += 1
    return name if used[name] == 1 else f"{name}_{used[name]}"
