"""Flame graphs as SVG, readable on light and on dark pages: the time of a call by the functions that it is spent in.

https://www.brendangregg.com/flamegraphs.html describes them. Callers are above the functions that they call.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final, TypeAlias

WIDTH: Final = 1200
ROW: Final = 17
TITLE: Final = 30
CHARACTER: Final = 6.6
"""The width of a character of the labels."""
NARROWEST: Final = 2.0
"""The width of the narrowest function that is drawn."""
COLORS: Final = {
    "edge/": "#93c5fd",
    "mesh/http2/": "#5eead4",
    "mesh/": "#a7f3d0",
    "uvicorn/": "#fcd34d",
    "grpc/": "#fda4af",
}
OTHER: Final = "#d4d4d8"
STYLE: Final = """
text { font: 11px ui-monospace, monospace; fill: #1f2328 }
.title { font: 600 14px system-ui, sans-serif }
@media (prefers-color-scheme: dark) { .title { fill: #d1d7e0 } }
"""

Stacks: TypeAlias = Mapping[tuple[str, ...], int]
"""How often each stack was seen, from the outermost function to the innermost."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph: its title, the stacks, and the time of a call in µs, which its width shows."""

    title: str
    stacks: Stacks
    call_us: float


@dataclass(slots=True)
class Node:
    """A function called by the functions above it, and how often it was seen."""

    seen: int = 0
    callees: dict[str, "Node"] = field(default_factory=lambda: defaultdict(Node))


def parse(text: str) -> Stacks:
    """Returns the stacks in the output of a sampler: in each line functions between semicolons, and a count."""
    lines = (line.rpartition(" ") for line in text.splitlines())
    return {tuple(stack.split(";")): int(count) for stack, _, count in lines}


def below(stacks: Stacks, function: str) -> Stacks:
    """Returns the stacks without the functions above the first one of this name; other stacks as they are."""
    cut: dict[tuple[str, ...], int] = defaultdict(int)
    for stack, count in stacks.items():
        start = next((index + 1 for index, name in enumerate(stack) if name.startswith(function)), 0)
        cut[stack[start:] or stack[-1:]] += count
    return cut


def draw(graphs: Sequence[Graph]) -> str:
    """Returns the graphs, one under the other, in one scale."""
    scale = WIDTH / max(graph.call_us for graph in graphs)
    elements: list[str] = []
    top = 0
    for graph in graphs:
        root = _tree(graph.stacks)
        width = scale * graph.call_us
        elements.append(f'<text class="title" x="0" y="{top + 18}">{escape(graph.title)}</text>')
        elements += _boxes(root, 0.0, top + TITLE, width / root.seen, root.seen)
        top += TITLE + ROW * _depth(root, NARROWEST * root.seen / width) + ROW
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img">'
    return "\n".join([head, f"<style>{STYLE}</style>", *elements, "</svg>"]) + "\n"


def _tree(stacks: Stacks) -> Node:
    root = Node()
    for stack, count in stacks.items():
        node = root
        node.seen += count
        for function in stack:
            node = node.callees[function]
            node.seen += count
    return root


def _boxes(node: Node, left: float, top: float, width_of_one: float, total: int) -> Iterator[str]:
    for function, callee in sorted(node.callees.items()):
        width = callee.seen * width_of_one
        if width >= NARROWEST:
            yield _box(function, left, top, width, callee.seen / total)
            yield from _boxes(callee, left, top + ROW, width_of_one, total)
        left += width


def _box(function: str, left: float, top: float, width: float, share: float) -> str:
    name, _, place = function.partition(" (")
    color = next((color for prefix, color in COLORS.items() if place.startswith(prefix)), OTHER)
    label = name.rpartition(".")[2][: int((width - 4) / CHARACTER)] if width > 3 * CHARACTER else ""
    text = f'<text x="{left + 2:.1f}" y="{top + 12}">{escape(label)}</text>' if label else ""
    return (
        f"<g><title>{escape(function)}: {share:.1%}</title>"
        f'<rect x="{left:.1f}" y="{top}" width="{width - 0.5:.1f}" height="{ROW - 1}" fill="{color}"/>{text}</g>'
    )


def _depth(node: Node, seen_min: float) -> int:
    return max((1 + _depth(callee, seen_min) for callee in node.callees.values() if callee.seen >= seen_min), default=0)
