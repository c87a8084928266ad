"""The form of the pages in Markdown: links that resolve, and lines of prose that fit."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "charts/*/*.md") for path in ROOT.glob(pattern)
)
COLUMNS_MAX: Final = 100
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
CODE: Final = re.compile(r"(`+).+?\1")


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yields the numbered lines of a page outside of code blocks."""
    is_code = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield number, line


def anchors(path: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    titles = (line.lstrip("# ") for _, line in prose(path) if line.startswith("#"))
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(path: Path) -> Iterator[str]:
    """Yields the relative links of a page whose file or heading does not exist."""
    for number, line in prose(path):
        for link in LINK.findall(CODE.sub("", line)):
            if re.match(r"[a-z]+:", link):
                continue
            file, _, anchor = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            if not target.exists() or (anchor and anchor not in anchors(target)):
                yield f"{path.relative_to(ROOT)}:{number}: {link}"


def long_lines(path: Path) -> Iterator[str]:
    """Yields the lines of prose that are too long, except tables and what cannot be wrapped."""
    for number, line in prose(path):
        if len(line) > COLUMNS_MAX and not line.startswith(("|", "#")) and " " in line[:COLUMNS_MAX].strip():
            yield f"{path.relative_to(ROOT)}:{number}: {len(line)} columns"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_resolve(path: Path) -> None:
    """Every relative link leads to a file, and to one of its headings if it names one."""
    assert list(broken_links(path)) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_prose_is_wrapped(path: Path) -> None:
    """Prose has at most 100 columns a line; tables, code and headings may have more."""
    assert list(long_lines(path)) == []


def test_faults_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link to a missing file, one to a missing heading, and a long line are reported; code and tables are not."""
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# The title\n\n[here](#the-title) [gone](gone.md) [nowhere](page.md#other) `[code](gone.md)`\n\n"
        f"{'word ' * 30}\n\n| {'cell ' * 30} |\n\n```\n{'code ' * 30}\n[code](gone.md)\n```\n"
    )
    assert list(broken_links(page)) == ["page.md:3: gone.md", "page.md:3: page.md#other"]
    assert list(long_lines(page)) == ["page.md:5: 150 columns"]
