"""The URLs of webhook endpoints."""

import ipaddress

import pytest

from services.notifications.domain.reachable_addresses import ReachableAddresses
from services.notifications.domain.webhook_url import url_problem

PUBLIC_ONLY = ReachableAddresses()


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com:8443/a/b?c=d",
        "HTTPS://EXAMPLE.COM/",
        "https://93.184.216.34/",
        "https://[2606:4700:4700::1111]/",
        "https://xn--bcher-kva.example/%C3%BC",
    ],
)
def test_a_url_is_accepted(url: str) -> None:
    """By https, with any public host, port, path and query."""
    assert url_problem(url, PUBLIC_ONLY, http_allowed=False) == ""


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "https://"),
        ("example.com", "https://"),
        ("http://example.com", "https://"),
        ("ftp://example.com", "https://"),
        ("https://", "absolute"),
        ("https:///path", "absolute"),
        ("https://example.com:0/", "absolute"),
        ("https://example.com:99999/", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://bücher.example/", "absolute"),
        ("https://example.com/a b", "absolute"),
        ("https://example.com/\r\nX: y", "absolute"),
        ("https://user@example.com/", "user or a password"),
        ("https://user:secret@example.com/", "user or a password"),
        ("https://example.com/#part", "fragment"),
        ("https://127.0.0.1/", "public address"),
        ("https://[::1]/", "public address"),
        ("https://[::ffff:127.0.0.1]:443/", "public address"),
        ("https://169.254.169.254/latest/meta-data", "public address"),
    ],
)
def test_a_wrong_url_is_explained(url: str, problem: str) -> None:
    """The text explains the fault of the URL."""
    assert problem in url_problem(url, PUBLIC_ONLY, http_allowed=False)


def test_settings_allow_more() -> None:
    """HTTP and a private network, for development."""
    reachable = ReachableAddresses([ipaddress.ip_network("127.0.0.0/8")])
    assert url_problem("http://127.0.0.1:9000/", reachable, http_allowed=True) == ""
    assert url_problem("ftp://127.0.0.1:9000/", reachable, http_allowed=True) != ""
