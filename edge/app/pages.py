"""The URLs of the edge's own pages, which are on the same port as the contract."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edge.app.docs import ASSETS, DOCS, OPENAPI, SIGNED_IN, asset_names
from edge.app.home import HOME
from edge.app.operations_pages import PATHS
from edge.settings import EdgeSettings

PAGE_METHODS: Final = ("GET", "HEAD")
"""The methods of pages. Requests by other methods to the same URLs are for the contract."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The paths of the pages. All start with `base`."""

    base: str
    paths: frozenset[str]

    @classmethod
    def of(cls, settings: EdgeSettings) -> "Pages":
        """Returns the pages on the port of the contract."""
        operations = PATHS if settings.operations_on_port else ()
        base = settings.pages_path
        return cls(base, frozenset(f"{base}{page}" for page in (OPENAPI, SIGNED_IN, *DOCS, *operations)))

    @property
    def home(self) -> str:
        """Returns the path of the page that yields to the contract, which is not among `paths`."""
        return f"{self.base}{HOME}"

    def include(self, path: str) -> bool:
        """Returns whether a path is that of a page."""
        return path in self.paths or path.startswith(f"{self.base}{ASSETS}/")

    def all_paths(self) -> Iterator[str]:
        """Yields the paths of all pages and of their assets."""
        yield from sorted(self.paths)
        yield from (f"{self.base}{ASSETS}/{name}" for name in asset_names())
