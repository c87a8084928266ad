"""The pages of accounts, as HTML without scripts, and the redirect of a sign-in."""

import base64
import hashlib
from collections.abc import Mapping
from html import escape

from googleapis.google.api.httpbody_pb import HttpBody
from meshwright.policy.v1.policy_pb import HttpResponse
from protobuf.wkt import Any

from mesh.source_list import source_list

STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 24rem; margin: 4rem auto; padding: 0 1rem; }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
input { margin: 0.25rem 0 1rem; padding: 0.5rem; }
button { padding: 0.5rem; }
[role="alert"] { border-left: 4px solid #b00020; padding-left: 0.75rem; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def page(title: str, body: str, *, status: int = 200, redirects_to: str = "") -> HttpBody:
    """Returns a page; `body` is HTML. Nothing but its own style and forms works in it, and no other page can frame it.
    `redirects_to` is the URI to which its form may lead, because some browsers apply form-action to redirects too.
    """
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
        f"form-action {source_list(redirects_to)}; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {
        "cache-control": "no-store",
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",  # URLs hold tokens and states
        "x-frame-options": "DENY",
    }
    html = _PAGE.format(title=escape(title), style=STYLE, body=body)
    return _http_body(HttpResponse(status=status, headers=headers), "text/html; charset=utf-8", html.encode())


def redirect(location: str) -> HttpBody:
    """Returns a redirect that a browser follows by GET, without the form (RFC 9700, section 4.12)."""
    headers = {"cache-control": "no-store", "location": location, "referrer-policy": "no-referrer"}
    return _http_body(HttpResponse(status=303, headers=headers), "text/plain; charset=utf-8", b"")


def form(action: str, fields: str, button: str, hidden: Mapping[str, str]) -> str:
    """Returns a form as HTML. `fields` is HTML, `hidden` the values that it sends unseen."""
    kept = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">\n'
        for name, value in hidden.items()
        if value
    )
    return (
        f'<form method="post" action="{escape(action)}">\n{kept}{fields}\n'
        f'<button type="submit">{escape(button)}</button>\n</form>'
    )


def field(label: str, name: str, kind: str, autocomplete: str, value: str = "", attributes: str = "") -> str:
    """Returns an input with its label as HTML."""
    return (
        f'<label for="{name}">{escape(label)}</label>\n<input id="{name}" name="{name}" type="{kind}" '
        f'autocomplete="{autocomplete}" value="{escape(value)}" required{attributes}>'
    )


def alert(text: str) -> str:
    """Returns a problem as HTML."""
    return f'<p role="alert">{escape(text)}</p>\n' if text else ""


def paragraph(text: str) -> str:
    """Returns a paragraph as HTML."""
    return f"<p>{escape(text)}</p>"


def _http_body(response: HttpResponse, content_type: str, data: bytes) -> HttpBody:
    return HttpBody(content_type=content_type, data=data, extensions=[Any.pack(response)])
