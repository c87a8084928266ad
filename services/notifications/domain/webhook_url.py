"""The URL of a webhook endpoint."""

import ipaddress
from urllib.parse import urlsplit

from services.notifications.domain.reachable_addresses import Address, ReachableAddresses


def url_problem(url: str, reachable: ReachableAddresses, *, http_allowed: bool) -> str:
    """Returns the problem of a URL, "" if it has none. Names are not resolved here; addresses are checked."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme != "https" and not (http_allowed and parts.scheme == "http"):
        return "must be a URL that begins with https://"
    if not parts.hostname or port == 0 or not (url.isascii() and url.isprintable()) or " " in url:
        return "must be an absolute URL, with other characters than ASCII percent-encoded"
    if parts.username is not None or parts.password is not None:
        return "must not have a user or a password: the receiver verifies the signature"
    if "#" in url:
        return "must not have a fragment"
    if (address := _address(parts.hostname)) is not None and address not in reachable:
        return "must lead to a public address"
    return ""


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
