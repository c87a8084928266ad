"""Source lists of a Content-Security-Policy: https://www.w3.org/TR/CSP3/#framework-directive-source-list."""

import re
from urllib.parse import urlsplit

_HOST_AND_PORT = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::[0-9]+)?")


def source_list(url: str) -> str:
    """Returns the sources of a page that may lead to its own origin and to that of a URL, empty for no other. A host
    outside of the grammar, as all IPv6 addresses are, is allowed by its scheme: browsers ignore a source that names it.
    """
    parts = urlsplit(url)
    if not parts.netloc:
        return "'self'"
    return f"'self' {parts.scheme}:" + (f"//{parts.netloc}" if _HOST_AND_PORT.fullmatch(parts.netloc) else "")
