"""Detection of rules that share URLs although neither is more specific than the other.

At the first segment where two templates differ, the router prefers a literal to `*` and `*` to `**`. If one template is
more specific there and the other one further on, as with `/v1/shelves/{book}` and `/v1/{shelf}/books`, URLs that match
both are routed to the first, which may surprise the author of the second.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import quote

from edge.httprule.router import Entry, Match, Node, Router

T = TypeVar("T")

_LITERAL, _ANY, _REST = range(3)  # the most specific kind first


@dataclass(frozen=True, slots=True)
class Overlap(Generic[T]):
    """Two routes of one HTTP method that `url` matches; the router chooses `first`."""

    http_method: str
    url: str
    first: Entry[T]
    second: Entry[T]


_Path = tuple["_Path", str] | None  # segments, from the last to the first
_Pair = tuple[Node[T], Node[T], bool, _Path]
"""Two nodes that the same segments lead to, the first by a more specific path; whether the second was more specific at
some segment too; these segments.
"""


def find_overlaps(router: Router[T]) -> Iterator[Overlap[T]]:
    """Yields each route that shares a URL with a route that the router prefers although it is not more specific.

    Both halves of a pair walk the trie together, and each pair of nodes is visited once: the work grows with the
    overlapping parts of the trie, not with the number of pairs of routes.
    """
    reported: set[int] = set()
    entered: set[tuple[int, int, bool]] = set()
    waiting: deque[_Pair[T]] = deque([(router.root, router.root, False, None)])
    while waiting:
        first, second, crossed, path = waiting.popleft()
        key = (id(first), id(second), crossed)
        if key in entered:
            continue
        entered.add(key)
        if crossed:
            for found in _common_ends(first, second, path):
                if _is_routed_to(router, found.second, found):
                    found = Overlap(found.http_method, found.url, found.second, found.first)
                if found.second is not found.first and id(found.second) not in reported:
                    reported.add(id(found.second))
                    yield found
        waiting.extend(_steps(first, second, crossed, path))


def _is_routed_to(router: Router[T], entry: Entry[T], found: Overlap[T]) -> bool:
    """Returns whether the router chooses `entry` for the URL: with two `**` it can match in more than one way."""
    match = router.match(found.http_method, found.url)
    return isinstance(match, Match) and match.target is entry.target


def _steps(first: Node[T], second: Node[T], crossed: bool, path: _Path) -> Iterator[_Pair[T]]:
    """Yields the pairs that one more segment leads to."""
    literals = dict.fromkeys((*_literals(first), *_literals(second)))
    other = "x"
    while other in literals:
        other += "x"
    for segment in (*literals, other):
        steps, other_steps = list(_transitions(first, segment)), list(_transitions(second, segment))
        for order, (kind, to) in enumerate(steps):
            for other_order, (other_kind, other_to) in enumerate(other_steps):
                if first is not second or order <= other_order:
                    yield to, other_to, crossed or other_kind < kind, (path, segment)


def _literals(node: Node[T]) -> Iterator[str]:
    yield from node.literals
    if node.rest is not None:
        yield from node.rest.literals


def _transitions(node: Node[T], segment: str) -> Iterator[tuple[int, Node[T]]]:
    """Yields the nodes that a segment leads to, each with the kind of its pattern, in the router's order."""
    if (child := node.literals.get(segment)) is not None:
        yield _LITERAL, child
    if node.any is not None:
        yield _ANY, node.any
    if node.rest is not None:
        yield from _transitions(node.rest, segment)
    if node.repeats:
        yield _REST, node


def _common_ends(first: Node[T], second: Node[T], path: _Path) -> Iterator[Overlap[T]]:
    """Yields the overlaps of routes with the same verb and HTTP method that end at both nodes."""
    for one in _ends(first):
        for other in _ends(second):
            for verb in one.ends.keys() & other.ends.keys():
                for http_method in one.ends[verb].keys() & other.ends[verb].keys():
                    url = _url(path, verb)
                    yield Overlap(http_method, url, one.ends[verb][http_method], other.ends[verb][http_method])


def _ends(node: Node[T]) -> Iterator[Node[T]]:
    """Yields the node, and the nodes that a `**` without segments leads to."""
    at: Node[T] | None = node
    while at is not None:
        yield at
        at = at.rest


def _url(path: _Path, verb: str) -> str:
    segments: list[str] = []
    while path is not None:
        path, segment = path
        segments.append(segment)
    return "/" + "/".join(quote(segment) for segment in reversed(segments)) + (f":{verb}" if verb else "")
