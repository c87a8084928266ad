"""Path templates as OpenAPI writes them, where a parameter is one segment: `/v1/{name=products/*}` becomes
`/v1/products/{product}`.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from edge.contract import Route
from edge.path_template import REST

_PCHAR: Final = "-._~!$&'()*+,;=:@"
_WILD: Final = "{}"
_PLAIN_NAME: Final = re.compile(r"[\w.~-]+")  # others could not stand between braces


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A path with the names of its parameters, each with the index of the variable that it is a part of, if it is."""

    text: str
    parameters: tuple[tuple[str, int | None], ...]


class Paths:
    """Names the parameters. Paths that differ in nothing but those names get the same ones: OpenAPI takes them for the
    same path.
    """

    def __init__(self) -> None:
        self._names: dict[tuple[str, ...], list[str]] = {}

    def make(self, route: Route) -> PathPattern:
        """The pattern of a route."""
        template = route.template
        variable_of = {
            at: number for number, each in enumerate(template.variables) for at in range(each.start, each.end)
        }
        shape = tuple(
            quote(segment, safe=_PCHAR) if literal else _WILD
            for segment, literal in zip(template.segments, template.literal, strict=True)
        )
        names = self._names.setdefault(shape, _names(route, variable_of))
        remaining = iter(names)
        parts = [f"{{{next(remaining)}}}" if part == _WILD else part for part in shape]
        wild = [at for at, part in enumerate(shape) if part == _WILD]
        parameters = [(name, variable_of.get(at)) for name, at in zip(names, wild, strict=True)]
        verb = f":{quote(template.verb, safe=_PCHAR)}" if template.verb else ""
        return PathPattern("/" + "/".join(parts) + verb, tuple(parameters))


def _names(route: Route, variable_of: dict[int, int]) -> list[str]:
    """A name for each wildcard: the field's where the variable is one segment, or what stands before it in the
    singular.
    """
    template, names = route.template, []
    for at, (segment, literal) in enumerate(zip(template.segments, template.literal, strict=True)):
        if literal:
            continue
        variable = template.variables[variable_of[at]] if at in variable_of else None
        before = template.segments[at - 1] if at and template.literal[at - 1] else ""
        if variable is not None and variable.end - variable.start == 1:
            field = route.variables[variable_of[at]][-1]
            name = field.json_name if _PLAIN_NAME.fullmatch(field.json_name) else field.name
        elif before.endswith("s") and segment != REST:
            name = _singular(before)
        else:
            name = "path" if segment == REST else "segment"
        while name in names:
            name += "_"
        names.append(name)
    return names


def _singular(noun: str) -> str:
    if noun.endswith("ies"):
        return noun[:-3] + "y"
    return noun.removesuffix("s") or "segment"
