"""Path templates as OpenAPI writes them, where a parameter is one segment: `/v1/{name=products/*}` becomes
`/v1/products/{product}`.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from edge.contract.route import Route
from edge.httprule.template import REST

_PCHAR: Final = "-._~!$&'()*+,;=:@"
_WILD: Final = "{}"
_PLAIN_NAME: Final = re.compile(r"[\w.~-]+")  # others can't stand between braces


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A path and its parameters. Each parameter has a name, the index of the variable that it belongs to, None for a
    wildcard outside of variables, and the index of its segment in that variable.
    """

    text: str
    parameters: tuple[tuple[str, int | None, int], ...]


class Paths:
    """The paths of a document. Paths that differ only in the names of their parameters get the same names, because
    OpenAPI considers them identical.
    """

    def __init__(self) -> None:
        self._names: dict[tuple[str, ...], list[str]] = {}

    def of(self, route: Route) -> PathPattern:
        """Returns the path of a route."""
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
        parameters = []
        for name, at in zip(names, wild, strict=True):
            variable = variable_of.get(at)
            parameters.append((name, variable, at - template.variables[variable].start if variable is not None else 0))
        verb = f":{quote(template.verb, safe=_PCHAR)}" if template.verb else ""
        return PathPattern("/" + "/".join(parts) + verb, tuple(parameters))


def _names(route: Route, variable_of: dict[int, int]) -> list[str]:
    """Returns a name for each wildcard: that of the field if the variable is one segment, otherwise the singular of the
    segment before it.
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
        elif segment != REST and (single := _singular(before)) and (single != before or before in _WITHOUT_PLURAL):
            name = single
        else:
            name = "path" if segment == REST else "segment"
        while name in names:
            name += "_"
        names.append(name)
    return names


_IRREGULAR: Final = {
    "people": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "indices": "index",
    "vertices": "vertex",
    "matrices": "matrix",
    "criteria": "criterion",
    "movies": "movie",
    "shelves": "shelf",
    "leaves": "leaf",
    "halves": "half",
    "knives": "knife",
    "lives": "life",
    "caches": "cache",
    "axes": "axis",
    "ties": "tie",
    "aliases": "alias",
    "buses": "bus",
    "statuses": "status",
    "analyses": "analysis",
    "bases": "base",
    "canvases": "canvas",
}
_WITHOUT_PLURAL: Final = ("news", "series", "species", "analytics", "metrics", "settings", "means", "status", "address")
_LAST_WORD = re.compile(r"[A-Z]?[a-z]+$")


def _singular(noun: str) -> str:
    """Returns the singular of an English noun; of a compound such as `bookShelves`, that of its last word."""
    found = _LAST_WORD.search(noun)
    if found is None:
        return noun
    word = found[0]
    single = _singular_of(word.lower())
    return noun[: found.start()] + (single.capitalize() if word[0].isupper() else single)


def _singular_of(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _WITHOUT_PLURAL or word.endswith(("ss", "us", "is")) or not word.endswith("s"):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("sses", "shes", "ches", "xes", "zzes")) else word[:-1]
