"""The router of request paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.httprule.router import MalformedPath, Match, NoMatch, Router
from edge.httprule.template import parse


def router_of(*routes: tuple[str, str]) -> Router[str]:
    """Builds a router of (method, template) pairs, whose targets are the templates."""
    router: Router[str] = Router()
    for method, template in routes:
        router.add(method, parse(template), template)
    return router


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("/v1/books", "/v1/books", ()),
        ("/v1/{name}", "/v1/a", ("a",)),
        ("/v1/{name}", "/v1/a.b", ("a.b",)),
        ("/v1/{name}", "/v1/a%2Fb%20c", ("a/b c",)),
        ("/v1/{name}", "/v1/%E2%82%AC", ("€",)),
        ("/v1/{name=books/*}", "/v1/books/a%20b", ("books/a b",)),
        ("/v1/{name=books/*}", "/v1/books/a%2Fb", ("books/a%2Fb",)),
        ("/v1/{name=books/*}", "/v1/books/a%2fb", ("books/a%2fb",)),
        ("/v1/{name=**}", "/v1/a/b%2Fc/d", ("a/b%2Fc/d",)),
        ("/v1/{name=**}", "/v1", ("",)),
        ("/v1/{name=**}", "/v1/a//b", ("a//b",)),
        ("/v1/{name=**}/x", "/v1/x/x/x", ("x/x",)),
        ("/v1/{name=**}/versions/{id}", "/v1/a/b/versions/3", ("a/b", "3")),
        ("/v1/{a=**}/x/{b=**}/y", "/v1/1/2/x/3/y", ("1/2", "3")),
        ("/v1/{name=books/*}:lend", "/v1/books/a:lend", ("books/a",)),
        ("/v1/{name=books/*}", "/v1/books/a:lend", ("books/a:lend",)),
        ("/v1/{name=books/*}", "/v1/books/a:b:c", ("books/a:b:c",)),
        ("/v1/{name=books/*}:lend", "/v1/books/a:b:lend", ("books/a:b",)),
        ("/%62ooks", "/b%6Foks", ()),
    ],
)
def test_a_path_gives_the_values_of_its_variables(template: str, path: str, values: tuple[str, ...]) -> None:
    """Single segments are decoded whole, several keep %2F in either case, and an unknown verb is data."""
    assert router_of(("GET", template)).match("GET", path) == Match(template, values)


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/v1/books", "/v1/book"),
        ("/v1/books", "/v1/books/"),
        ("/v1/books", "/v1"),
        ("/v1/books", "v1/books"),
        ("/v1/books", ""),
        ("/v1/books", "*"),
        ("/v1/a.b", "/v1/axb"),
        ("/v1/{name}", "/v1/"),
        ("/v1/{name}", "/v1/a/b"),
        ("/v1/{name=books/*}:lend", "/v1/books/a"),
        ("/v1/{name=books/*}:lend", "/v1/books/:lend"),
        ("/v1/{name=books/*}:lend", "/v1/books/a%3Alend"),
        ("/v1/**/x", "/v1/a/b"),
    ],
)
def test_other_paths_do_not_match(template: str, path: str) -> None:
    """A dot matches only a dot, a wildcard needs a non-empty segment, and a verb's colon must not be encoded."""
    assert router_of(("GET", template)).match("GET", path) == NoMatch(frozenset())


@pytest.mark.parametrize("path", ["/v1/%", "/v1/%2", "/v1/%zz", "/v1/a%", "/v1/%ff", "/v1/%C3%28"])
def test_malformed_encoding_raises(path: str) -> None:
    """An incomplete percent-encoding and invalid UTF-8 raise MalformedPath instead of being not found."""
    with pytest.raises(MalformedPath):
        router_of(("GET", "/v1/{name}")).match("GET", path)


def test_the_most_specific_route_is_taken() -> None:
    """A literal takes precedence over `*`, and `*` over `**`, in any order of the rules."""
    router = router_of(("GET", "/v1/**"), ("GET", "/v1/*"), ("GET", "/v1/books"), ("GET", "/v1/books:search"))
    found = {path: router.match("GET", path) for path in ("/v1/books", "/v1/x", "/v1/x/y", "/v1/books:search")}
    targets = {path: match.target for path, match in found.items() if isinstance(match, Match)}
    assert targets == {
        "/v1/books": "/v1/books",
        "/v1/x": "/v1/*",
        "/v1/x/y": "/v1/**",
        "/v1/books:search": "/v1/books:search",
    }


def test_the_search_backtracks() -> None:
    """A wildcard matches where the literal branch matches only the first segments."""
    router = router_of(("GET", "/v1/a/b/c"), ("GET", "/v1/*/b/d"), ("GET", "/v1/**/e"))
    assert router.match("GET", "/v1/a/b/d") == Match("/v1/*/b/d", ())
    assert router.match("GET", "/v1/a/b/e") == Match("/v1/**/e", ())


def test_a_branch_with_another_method_does_not_hide_the_right_one() -> None:
    """The method is looked up in every branch before the path counts as not allowed."""
    router = router_of(("POST", "/v1/books"), ("GET", "/v1/*"), ("DELETE", "/v1/**"))
    assert router.match("GET", "/v1/books") == Match("/v1/*", ())
    assert router.match("PUT", "/v1/books") == NoMatch(frozenset({"POST", "GET", "HEAD", "DELETE"}))


def test_a_verb_of_another_method_leaves_the_colon_to_the_data() -> None:
    """Although POST …:lend exists, GET of the same path gets a book whose name ends in :lend."""
    router = router_of(("POST", "/v1/{name=books/*}:lend"), ("GET", "/v1/{name=books/*}"))
    assert router.match("GET", "/v1/books/a:lend") == Match("/v1/{name=books/*}", ("books/a:lend",))
    assert router.match("PUT", "/v1/books/a:lend") == NoMatch(frozenset({"POST", "GET", "HEAD"}))


def test_a_verb_may_be_encoded() -> None:
    """An encoded verb is the same URL (RFC 3986, section 6.2.2.2), but an encoded colon is data."""
    router = router_of(("GET", "/v1/{name}:lend"), ("GET", "/v1/{name}:pr%C3%AAte"), ("GET", "/v1/{name}"))
    assert router.match("GET", "/v1/a:%6cend") == Match("/v1/{name}:lend", ("a",))
    assert router.match("GET", "/v1/a:pr%c3%aate") == Match("/v1/{name}:pr%C3%AAte", ("a",))
    assert router.match("GET", "/v1/a%3Alend") == Match("/v1/{name}", ("a:lend",))


def test_head_is_answered_by_get_unless_it_has_its_own_route() -> None:
    """HEAD matches the GET route, as RFC 9110 requires, unless it has its own."""
    router = router_of(("GET", "/v1/books"), ("HEAD", "/v1/own"), ("GET", "/v1/own"))
    assert router.match("HEAD", "/v1/books") == Match("/v1/books", ())
    assert router.match("HEAD", "/v1/own") == Match("/v1/own", ())
    assert router.match("HEAD", "/v1/none") == NoMatch(frozenset())


def test_the_kind_asterisk_takes_every_method() -> None:
    """A custom rule of kind * matches the methods without a rule of their own."""
    router = router_of(("*", "/v1/books"))
    assert router.match("BREW", "/v1/books") == Match("/v1/books", ())


def test_the_first_of_two_equal_rules_matches() -> None:
    """Rules that differ only in variable names are equal, and adding the second returns the first."""
    router: Router[str] = Router()
    assert router.add("GET", parse("/v1/{a}"), "first") is None
    assert (first := router.add("GET", parse("/v1/{b}"), "second")) is not None
    assert first.target == "first"
    assert router.add("POST", parse("/v1/{b}"), "third") is None
    assert router.match("GET", "/v1/x") == Match("first", ("x",))


def test_the_first_declared_has_the_urls_of_an_open_end() -> None:
    """Only `*` after `**` is not more specific than the `**` of an earlier rule, but of a later one it is."""
    name, parent = "/v1/{name=documents/*/**}", "/v1/{parent=documents/*/**}/{collection}"
    router = router_of(("GET", name), ("PATCH", parent))
    assert (first := router.add("GET", parse(parent), parent)) is not None
    assert first.target == name
    assert router.match("GET", "/v1/documents/a/b") == Match(name, ("documents/a/b",))
    assert router.match("PATCH", "/v1/documents/a/b") == Match(parent, ("documents/a", "b"))
    router = router_of(("GET", parent), ("GET", name))
    assert router.match("GET", "/v1/documents/a/b") == Match(parent, ("documents/a", "b"))
    assert router.match("GET", "/v1/documents/a") == Match(name, ("documents/a",))
    router = router_of(("GET", name), ("GET", "/v1/documents/*/**/x"))
    assert router.match("GET", "/v1/documents/a/x") == Match("/v1/documents/*/**/x", ())


def test_long_paths_take_bounded_work() -> None:
    """Thousands of segments that nearly match two `**` take bounded work and no recursion."""
    router = router_of(("GET", "/{a=**}/x/{b=**}/y"))
    assert router.match("GET", "/x" * 3000 + "/z") == NoMatch(frozenset())


segments = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=5)


@given(st.lists(segments, min_size=1, max_size=5))
def test_encoded_segments_are_decoded(parts: list[str]) -> None:
    """Any Unicode segment that is percent-encoded and matched is captured unchanged."""
    path = "".join("/" + "".join(f"%{byte:02x}" for byte in part.encode()) for part in parts)
    template = "".join(f"/{{v{number}}}" for number in range(len(parts)))
    assert router_of(("GET", template)).match("GET", path) == Match(template, tuple(parts))


@given(st.text(max_size=30))
def test_no_path_breaks_the_router(path: str) -> None:
    """Any text results in a Match, a NoMatch or MalformedPath, and in no other exception."""
    router = router_of(("GET", "/v1/{name=**}:x"), ("GET", "/{a}/{b=x/**}/c"), ("GET", "/v1/*"))
    malformed = False
    try:
        router.match("GET", path)
    except MalformedPath:
        malformed = True
    assert not malformed or "%" in path
