"""The edge's own pages, which share the URLs with the contract."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edge.app.docs import ASSETS, DOCS, OPENAPI, asset_names
from edge.app.operations_pages import PATHS
from edge.settings import EdgeSettings

METHODS: Final = ("GET", "HEAD")
"""What a page answers. Every other method of its URL is the contract's."""


@dataclass(frozen=True, slots=True)
class Pages:
    """Where the pages are: `base` is the path that stands before each of them."""

    base: str
    paths: frozenset[str]

    @classmethod
    def of(cls, settings: EdgeSettings) -> "Pages":
        """The pages on the port of the contract."""
        operations = PATHS if settings.operations_on_port else ()
        base = settings.pages_path
        return cls(base, frozenset(f"{base}{page}" for page in (OPENAPI, *DOCS, *operations)))

    def hold(self, path: str) -> bool:
        """Whether a path is that of a page."""
        return path in self.paths or path.startswith(f"{self.base}{ASSETS}/")

    def all(self) -> Iterator[str]:
        """Every path that a page has."""
        yield from sorted(self.paths)
        yield from (f"{self.base}{ASSETS}/{name}" for name in asset_names())
