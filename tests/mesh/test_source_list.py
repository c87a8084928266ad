"""Source lists that browsers accept."""

import pytest

from mesh.source_list import source_list


@pytest.mark.parametrize(
    ("url", "sources"),
    [
        ("https://app.example.com/signed-in?x=1", "'self' https://app.example.com"),
        ("http://localhost:3000", "'self' http://localhost:3000"),
        ("http://127.0.0.1:3000/", "'self' http://127.0.0.1:3000"),
        ("http://[::1]:3000/signed-in", "'self' http:"),
        ("https://[2001:db8::1]/token", "'self' https:"),
        ("https://under_score.example.com/token", "'self' https:"),
        ("/v1/token", "'self'"),
        ("", "'self'"),
    ],
)
def test_only_hosts_of_the_grammar_are_named(url: str, sources: str) -> None:
    """Another host is allowed by its scheme, because an invalid source allows nothing."""
    assert source_list(url) == sources
