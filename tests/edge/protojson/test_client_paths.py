"""The paths of fields in errors, as a client of one route knows them."""

from typing import Any

import pytest

from edge.contract.contract import Contract
from edge.protojson.client_paths import ClientPaths
from mesh.errors import FieldViolation, InvalidArgument, invalid_fields


@pytest.fixture
def paths(library: Contract) -> ClientPaths:
    """Returns the paths of a route whose body is the book, and whose path has the name of the book."""
    request: Any = library.registry.message("library.v1.UpdateBookRequest")
    body = next(field for field in request.fields if field.name == "book")
    return ClientPaths(request, body, frozenset({"book.name"}))


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("book.page_count", "pageCount"),
        ("book.tags[1]", "tags[1]"),
        ("book", "body"),
        ("book.name", "book.name"),
        ("update_mask", "updateMask"),
        ("[2].book.page_count", "[2].pageCount"),
        ("[2].book", "[2]"),
        ("[2].update_mask", "[2].updateMask"),
        ("bookish.page_count", "bookish.page_count"),
        ("", ""),
    ],
)
def test_a_path_begins_at_the_body(paths: ClientPaths, path: str, shown: str) -> None:
    """Paths in the body lose their prefix; path variables and fields that the request does not have keep it."""
    assert paths.shown(FieldViolation(path, "is odd"), ()).field == shown


def test_a_proto_name_that_was_sent_is_kept(paths: ClientPaths) -> None:
    """A client that wrote page_count reads page_count."""
    assert paths.shown(FieldViolation("book.page_count", "is odd"), {"page_count"}).field == "page_count"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("book.page_count: is odd (and 1 more)", "pageCount: is odd (and 1 more)"),
        ("[2]: book.page_count: is odd", "[2]: pageCount: is odd"),
        ("The book has a wrong book.page_count: it is odd.", "The book has a wrong book.page_count: it is odd."),
    ],
)
def test_the_text_has_the_same_name(paths: ClientPaths, text: str, shown: str) -> None:
    """A text that begins with the first field at fault names it as the violation does."""
    error = InvalidArgument(text, violations=[FieldViolation("book.page_count", "is odd")])
    assert paths.show(error, ()).message == shown


def test_the_text_of_a_service_is_that_of_the_edge(paths: ClientPaths) -> None:
    """Violations have the same paths, whether the edge or a service finds them."""
    violation = FieldViolation("book.page_count", "is odd")
    edge = invalid_fields((paths.shown(violation, ()),))
    service = paths.show(invalid_fields((violation,)), ())
    assert (service.message, service.violations) == (edge.message, edge.violations)
