"""Detection of rules that share URLs although neither is more specific."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.httprule.overlaps import find_overlaps
from edge.httprule.router import Match, Router
from edge.httprule.template import parse


def router_of(*templates: str, method: str = "GET") -> Router[str]:
    """Builds a router whose targets are the templates themselves."""
    router: Router[str] = Router()
    for template in templates:
        router.add(method, parse(template), template)
    return router


@pytest.mark.parametrize(
    ("first", "second", "url"),
    [
        ("/v1/shelves/{book}", "/v1/{shelf}/books", "/v1/shelves/books"),
        ("/v1/a/**", "/v1/*/b", "/v1/a/b"),
        ("/v1/a/**", "/v1/{x=*/b/**}", "/v1/a/b"),
        ("/v1/a/*:go", "/v1/*/b:go", "/v1/a/b:go"),
        ("/v1/*", "/v1/**/x", "/v1/x"),
        ("/**/a/*", "/**/*/b", "/a/b"),
    ],
)
def test_each_is_more_specific_somewhere(first: str, second: str, url: str) -> None:
    """Both templates match the example URL, and the router chooses the reported one, in either order of addition."""
    for router in (router_of(first, second), router_of(second, first)):
        (found,) = find_overlaps(router)
        assert (found.first.target, found.second.target, found.url) == (first, second, url)
        assert router.match("GET", url) == Match(first, router_of(first).match("GET", url).values)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/v1/books", "/v1/*"),
        ("/v1/books/*", "/v1/**"),
        ("/v1/{a=*/books/**}", "/v1/**"),
        ("/v1/**/x", "/v1/**"),
        ("/v1/a/*", "/v1/*/*"),
        ("/v1/a/b", "/v1/*/c"),
        ("/v1/a/*:go", "/v1/*/b"),
        ("/v1/a/*", "/v1/*/b:go"),
    ],
)
def test_a_more_specific_rule_is_not_reported(one: str, other: str) -> None:
    """A rule is not reported if the other rule matches all of its URLs or none; verbs are compared first."""
    assert not [*find_overlaps(router_of(one, other))]


def test_rules_of_different_methods_do_not_overlap() -> None:
    """A URL may have different rules for GET and for POST."""
    router = router_of("/v1/shelves/{book}")
    router.add("POST", parse("/v1/{shelf}/books"), "")
    assert not [*find_overlaps(router)]


def test_each_rule_is_reported_once() -> None:
    """A rule is reported once, even if it overlaps with several others."""
    router = router_of("/v1/a/*", "/v1/b/*", "/v1/c/*", "/v1/*/x")
    assert [found.second.target for found in find_overlaps(router)] == ["/v1/*/x"]


templates = st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=4).map(
    lambda each: "/" + "/".join(each)
)


@given(st.lists(templates, max_size=6))
def test_reported_overlaps_are_real(texts: list[str]) -> None:
    """For any set of rules, both templates match the reported URL, and the router does not choose the second."""
    router = router_of(*texts)
    for found in find_overlaps(router):
        for entry in (found.first, found.second):
            assert isinstance(router_of(entry.target).match("GET", found.url), Match)
        match = router.match("GET", found.url)
        assert isinstance(match, Match)
        assert match.target != found.second.target
