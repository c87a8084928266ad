"""Rules that share URLs although neither is the more specific one.

At the first segment where two templates differ, the router takes a literal before `*` and `*` before `**`. Where one is
more specific there and the other one further on, as with `/v1/shelves/{book}` and `/v1/{shelf}/books`, the URLs of both
go to the first of the two, which may surprise whoever wrote the second.
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
    """Two routes of one HTTP method that `url` fits. The router gives it to `first`."""

    http_method: str
    url: str
    first: Entry[T]
    second: Entry[T]


_Path = tuple["_Path", str] | None  # segments, from the last to the first
_Pair = tuple[Node[T], Node[T], bool, _Path]
"""Two nodes that the same segments lead to, the first of them by more specific ones; whether the second, too, was more
specific at some segment; these segments.
"""


def overlaps(router: Router[T]) -> Iterator[Overlap[T]]:
    """Every route that shares a URL with one that the router prefers without being more specific, each once.

    Both halves of a pair walk the tree of all templates together, and a pair of nodes is entered once: the work grows
    with the parts of the tree that overlap, not with the pairs of routes.
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
                if _is_given_to(router, found.second, found):
                    found = Overlap(found.http_method, found.url, found.second, found.first)
                if found.second is not found.first and id(found.second) not in reported:
                    reported.add(id(found.second))
                    yield found
        waiting.extend(_steps(first, second, crossed, path))


def _is_given_to(router: Router[T], entry: Entry[T], found: Overlap[T]) -> bool:
    """Whether a route has the URL after all: with two `**` a URL can fit it in another way, too."""
    match = router.match(found.http_method, found.url)
    return isinstance(match, Match) and match.target is entry.target


def _steps(first: Node[T], second: Node[T], crossed: bool, path: _Path) -> Iterator[_Pair[T]]:
    """The pairs that one more segment leads to."""
    literals = dict.fromkeys((*_literals(first), *_literals(second)))
    other = "x"
    while other in literals:
        other += "x"
    for segment in (*literals, other):
        ways, other_ways = list(_ways(first, segment)), list(_ways(second, segment))
        for order, (kind, to) in enumerate(ways):
            for other_order, (other_kind, other_to) in enumerate(other_ways):
                if first is not second or order <= other_order:
                    yield to, other_to, crossed or other_kind < kind, (path, segment)


def _literals(node: Node[T]) -> Iterator[str]:
    yield from node.literals
    if node.rest is not None:
        yield from node.rest.literals


def _ways(node: Node[T], segment: str) -> Iterator[tuple[int, Node[T]]]:
    """Where a segment can lead, in the order in which the router tries it, and the kind of each way."""
    if (child := node.literals.get(segment)) is not None:
        yield _LITERAL, child
    if node.any is not None:
        yield _ANY, node.any
    if node.rest is not None:
        yield from _ways(node.rest, segment)
    if node.repeats:
        yield _REST, node


def _common_ends(first: Node[T], second: Node[T], path: _Path) -> Iterator[Overlap[T]]:
    """The routes of both nodes that end here, by verb and HTTP method."""
    for one in _ends(first):
        for other in _ends(second):
            for verb in one.ends.keys() & other.ends.keys():
                for http_method in one.ends[verb].keys() & other.ends[verb].keys():
                    url = _url(path, verb)
                    yield Overlap(http_method, url, one.ends[verb][http_method], other.ends[verb][http_method])


def _ends(node: Node[T]) -> Iterator[Node[T]]:
    """The node, and those behind a `**` that takes nothing."""
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
