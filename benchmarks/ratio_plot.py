"""A plot of ratios to a peer as SVG, readable on light and on dark pages."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

from benchmarks.rounds import Spread

WIDTH: Final = 760
LABELS_WIDTH: Final = 200
BAR: Final = 14
GROUP_HEADING: Final = 26
TOP: Final = 44
BOTTOM: Final = 60
COLORS: Final = ("#3b82f6", "#8b5cf6", "#d97706", "#8a8f98", "#0d9488")
STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.group { font-weight: 600 }
.axis, .spread { stroke: #57606a }
.axis { stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #d1d7e0 }
  .axis, .spread { stroke: #9198a1 }
}
"""


def plot(title: str, groups: Mapping[str, Mapping[str, Spread]], caption: str) -> str:
    """Returns a bar for each ratio, with its spread as a line, in groups. The peer's 1 is a vertical line."""
    greatest = max(1.0, *(spread.most for bars in groups.values() for spread in bars.values()))
    scale = (WIDTH - LABELS_WIDTH - 60) / greatest
    height = TOP + BOTTOM + sum(GROUP_HEADING + len(bars) * BAR for bars in groups.values())
    end, one = height - BOTTOM, LABELS_WIDTH + scale
    elements = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<text class="title" x="0" y="18">{escape(title)}</text>',
        f'<line class="axis" x1="{one:.1f}" y1="{TOP - 10}" x2="{one:.1f}" y2="{end}"/>',
        *_groups(groups, scale),
    ]
    for number, line in enumerate(_wrapped(caption)):
        elements.append(f'<text x="0" y="{end + 24 + number * 16}">{escape(line)}</text>')
    return "\n".join([*elements, "</svg>"]) + "\n"


def _groups(groups: Mapping[str, Mapping[str, Spread]], scale: float) -> Iterator[str]:
    top = TOP
    for heading, bars in groups.items():
        yield f'<text class="group" x="0" y="{top + 14}">{escape(heading)}</text>'
        top += GROUP_HEADING - 6
        for color, (label, spread) in zip(COLORS, bars.items(), strict=False):
            yield from _bar(label, spread, color, top, scale)
            top += BAR
        top += 6


def _bar(label: str, spread: Spread, color: str, top: int, scale: float) -> Iterator[str]:
    middle, text_y = top + BAR / 2, top + BAR - 3
    least, most = LABELS_WIDTH + spread.least * scale, LABELS_WIDTH + spread.most * scale
    yield f'<text x="12" y="{text_y}">{escape(label)}</text>'
    width = spread.median * scale
    yield f'<rect x="{LABELS_WIDTH}" y="{top + 2}" width="{width:.1f}" height="{BAR - 4}" fill="{color}"/>'
    yield f'<line class="spread" x1="{least:.1f}" y1="{middle}" x2="{most:.1f}" y2="{middle}"/>'
    yield f'<text x="{most + 6:.1f}" y="{text_y}">{spread.median:.2f}</text>'


def _wrapped(caption: str) -> list[str]:
    """Returns the caption in the lines that its semicolons separate."""
    return [line.strip() for line in caption.split(";")]
