"""A router of request paths: a trie with backtracking, whose cost does not depend on the number of routes.

At each segment a literal is tried before `*`, and `*` before `**`. Of two routes with the same pattern, verb and HTTP
method, the one added first matches.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from edge.httprule.template import REST, PathTemplate, Variable

T = TypeVar("T")

ANY_METHOD: Final = "*"
"""The custom kind of a rule for every HTTP method."""

_MALFORMED = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODED_SLASH = re.compile(r"(%2[Ff])")


class MalformedPath(ValueError):
    """A path with invalid percent-encoding. Its text is shown to the caller."""


@dataclass(slots=True)
class Node(Generic[T]):
    """A node of the trie; `ends` holds the routes that end here, by verb and HTTP method.

    The node of a `**` is entered before the first segment that it matches, and `repeats`: it may match another one.
    """

    repeats: bool = False
    literals: "dict[str, Node[T]]" = field(default_factory=dict)
    any: "Node[T] | None" = None
    rest: "Node[T] | None" = None
    ends: "dict[str, dict[str, Entry[T]]]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """A route of the router."""

    target: T
    template: PathTemplate


_State = tuple[Node[T], int, tuple[int, ...]]
"""A node, the index of the next segment, and the number of segments that each `**` has matched so far."""


@dataclass(slots=True)
class Match(Generic[T]):
    """A matching route, and the decoded values of its template's variables, in their order."""

    target: T
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoMatch:
    """The absence of a matching route. `allowed` are the HTTP methods of the path, empty if there is no such path."""

    allowed: frozenset[str]


class Router(Generic[T]):
    """Routes by template and HTTP method."""

    def __init__(self) -> None:
        self.root: Node[T] = Node()
        self._verbs: set[str] = set()

    def add(self, method: str, template: PathTemplate, target: T) -> Entry[T] | None:
        """Adds a route, unless an earlier one matches all of its URLs, and then returns that one. It has the same
        pattern, or ends with `**` where this one has only `*` after it, as in Firestore's GetDocument (documents/*/**)
        and ListDocuments (documents/*/**/*).
        """
        node = self.root
        wildcards_start = _trailing_wildcards_start(template)
        for at, (segment, literal) in enumerate(zip(template.segments, template.literal, strict=True)):
            if literal:
                node = node.literals.setdefault(segment, Node())
            elif segment == REST:
                node.rest = node.rest or Node(repeats=True)
                node = node.rest
            else:
                node.any = node.any or Node()
                node = node.any
            if node.repeats and at + 1 >= wildcards_start and (earlier := node.ends.get(template.verb, {}).get(method)):
                return earlier
        if template.verb:
            self._verbs.add(template.verb)
        methods = node.ends.setdefault(template.verb, {})
        route = methods.setdefault(method, Entry(target, template))
        return None if route.template is template else route

    def match(self, method: str, path: str) -> Match[T] | NoMatch:
        """Finds the route of a raw, percent-encoded path. A GET route also matches HEAD, unless HEAD has a route.

        Raises MalformedPath.
        """
        raw = path[1:].split("/") if path.startswith("/") else []
        segments = raw
        if "%" in path:
            if _MALFORMED.search(path):
                raise MalformedPath("The path contains a % that is not followed by two hexadecimal digits.")
            segments = [_decode(segment) if "%" in segment else segment for segment in raw]
        if (found := self._match_greedily(method, raw, segments)) is not None:
            return found
        wanted = (method, "GET", ANY_METHOD) if method == "HEAD" else (method, ANY_METHOD)
        allowed: set[str] = set()
        for ends, widths, raw_less_verb in self._ends(raw, segments):
            for name in wanted:
                if (route := ends.get(name)) is not None:
                    return Match(route.target, _capture(route.template, raw_less_verb, widths))
            allowed.update(ends)
        return NoMatch(frozenset(allowed | {"HEAD"} if "GET" in allowed else allowed))

    def _match_greedily(self, method: str, raw: list[str], segments: list[str]) -> Match[T] | None:
        """Returns the route that match() would try first, if it matches without a `**`, which is the common case."""
        last, verb = raw[-1] if raw else "", ""
        if ":" in last:
            stem, named = _split_verb(last)
            if named in self._verbs:
                verb, raw = named, [*raw[:-1], stem]
                segments = [*segments[:-1], _decode(stem) if "%" in stem else stem]
        node, at = _follow([], self.root, 0, (), segments)
        ends = node.ends.get(verb) if at == len(segments) else None
        route = ends.get(method) if ends is not None else None
        return Match(route.target, _capture(route.template, raw, ())) if route is not None else None

    def _ends(
        self, raw: list[str], segments: list[str]
    ) -> "Iterator[tuple[dict[str, Entry[T]], tuple[int, ...], list[str]]]":
        """Yields each node where the path can end, first with the text after its last colon as a verb, then with the
        colon as data: the routes there, the number of segments of each `**`, and the raw segments without the verb.
        """
        last = raw[-1] if raw else ""
        if ":" in last:
            stem, verb = _split_verb(last)
            if verb in self._verbs:
                decoded = _decode(stem) if "%" in stem else stem
                for node, widths in _walk(self.root, [*segments[:-1], decoded]):
                    if verb in node.ends:
                        yield node.ends[verb], widths, [*raw[:-1], stem]
        for node, widths in _walk(self.root, segments):
            if "" in node.ends:
                yield node.ends[""], widths, raw


def _walk(root: "Node[T]", segments: list[str]) -> "Iterator[tuple[Node[T], tuple[int, ...]]]":
    """Yields each node at which these segments end, the most specific first, with the segment count of each `**`.

    A state after a `**` is not visited again, because the rest of the search does not depend on how the segments before
    it were split. This bounds the work by nodes times segments.
    """
    waiting: list[_State[T]] = [(root, 0, ())]
    entered: set[tuple[int, int]] = set()
    while waiting:
        node, at, widths = waiting.pop()
        if widths:
            if (id(node), at) in entered:
                continue
            entered.add((id(node), at))
        node, at = _follow(waiting, node, at, widths, segments)
        if at < len(segments):
            _push_next(waiting, node, at, widths, segments[at])
            continue
        if node.ends:
            yield node, widths
        if node.rest is not None:
            waiting.append((node.rest, at, (*widths, 0)))


def _trailing_wildcards_start(template: PathTemplate) -> int:
    """Returns the index of the first of the `*` segments at the end of a template."""
    at = len(template.segments)
    while at and not template.literal[at - 1] and template.segments[at - 1] != REST:
        at -= 1
    return at


def _follow(
    waiting: "list[_State[T]]", node: "Node[T]", at: int, widths: tuple[int, ...], segments: list[str]
) -> "tuple[Node[T], int]":
    """Follows segments up to a `**`. Without one only a literal and `*` can match, and the literal is tried first."""
    while at < len(segments) and node.rest is None and not node.repeats:
        segment = segments[at]
        other = node.any if segment else None
        child = node.literals.get(segment)
        if child is None:
            if other is None:
                break
            child = other
        elif other is not None:
            waiting.append((other, at + 1, widths))
        node, at = child, at + 1
    return node, at


def _push_next(waiting: "list[_State[T]]", node: "Node[T]", at: int, widths: tuple[int, ...], segment: str) -> None:
    """Pushes the states that this segment leads to; the one pushed last is tried first."""
    if node.repeats:
        waiting.append((node, at + 1, (*widths[:-1], widths[-1] + 1)))
    if node.rest is not None:
        waiting.append((node.rest, at, (*widths, 0)))
    if node.any is not None and segment:
        waiting.append((node.any, at + 1, widths))
    if (child := node.literals.get(segment)) is not None:
        waiting.append((child, at + 1, widths))


def _capture(template: PathTemplate, raw: list[str], widths: tuple[int, ...]) -> tuple[str, ...]:
    """Returns the decoded value of each variable. `raw` are the path's encoded segments without the verb."""
    if not template.variables:
        return ()
    starts = _starts(template, widths) if widths else None
    values = []
    for variable in template.variables:
        start, end = variable.start, variable.end
        if starts is not None:
            start, end = starts[start], starts[end]
        values.append(_value(variable, raw[start:end]))
    return tuple(values)


def _starts(template: PathTemplate, widths: tuple[int, ...]) -> list[int]:
    """Returns the index in the path at which each segment of the template starts, and the end of the last one."""
    widths_of_rests = iter(widths)
    starts = [0]
    for segment, literal in zip(template.segments, template.literal, strict=True):
        width = next(widths_of_rests) if segment == REST and not literal else 1
        starts.append(starts[-1] + width)
    return starts


def _value(variable: Variable, raw: list[str]) -> str:
    """Decodes a value: all of a single segment, and all but %2F of several ones, as http.proto defines."""
    text = "/".join(raw)
    if "%" not in text:
        return text
    if not variable.multi:
        return _decode(text)
    return "".join(part if part in ("%2F", "%2f") else _decode(part) for part in _ENCODED_SLASH.split(text))


def _split_verb(segment: str) -> tuple[str, str]:
    """Splits a segment at its last colon. Returns the text before it, still encoded, and the decoded verb."""
    stem, _, verb = segment.rpartition(":")
    return stem, _decode(verb) if "%" in verb else verb


def _decode(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise MalformedPath("The percent-encoded bytes of the path are not valid UTF-8.") from None
