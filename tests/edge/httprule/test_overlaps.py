"""Which rules share URLs although neither is the more specific one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.httprule.overlaps import overlaps
from edge.httprule.router import Match, Router
from edge.httprule.template import parse


def router_of(*templates: str, method: str = "GET") -> Router[str]:
    """A router whose targets are the templates themselves."""
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
    """Both fit the URL that is shown, and the router gives it to the one that it is said to, in whatever order."""
    for router in (router_of(first, second), router_of(second, first)):
        (found,) = overlaps(router)
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
def test_a_more_specific_rule_is_no_surprise(one: str, other: str) -> None:
    """All its URLs fit the other rule, or none; a verb decides before the segments."""
    assert not [*overlaps(router_of(one, other))]


def test_other_methods_share_nothing() -> None:
    """A URL may mean one thing to GET and another to POST."""
    router = router_of("/v1/shelves/{book}")
    router.add("POST", parse("/v1/{shelf}/books"), "")
    assert not [*overlaps(router)]


def test_each_rule_is_named_once() -> None:
    """However many others it meets."""
    router = router_of("/v1/a/*", "/v1/b/*", "/v1/c/*", "/v1/*/x")
    assert [found.second.target for found in overlaps(router)] == ["/v1/*/x"]


templates = st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=4).map(
    lambda each: "/" + "/".join(each)
)


@given(st.lists(templates, max_size=6))
def test_what_is_shown_is_so(texts: list[str]) -> None:
    """For any set of rules, the URL fits both, and is not the second one's."""
    router = router_of(*texts)
    for found in overlaps(router):
        for entry in (found.first, found.second):
            assert isinstance(router_of(entry.target).match("GET", found.url), Match)
        match = router.match("GET", found.url)
        assert isinstance(match, Match)
        assert match.target != found.second.target
