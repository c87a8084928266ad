"""The frame of the edge's HTML pages, and their Content-Security-Policy."""

from collections.abc import Sequence
from html import escape

from starlette.responses import HTMLResponse

from mesh.source_list import source_list

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
{head}
</head>
<body>
{body}
</body>
</html>
"""

# The pages work without a network, and must not reveal to other hosts that somebody reads them. Swagger UI and ReDoc
# set styles of single elements.
_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "worker-src 'self' blob:; connect-src {connect}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def html_page(title: str, body: str, styles: Sequence[str], *, head: str = "", calls: str = "") -> HTMLResponse:
    """Returns a page with a title, which is text. `body` and `head` are HTML, `styles` the URLs of style sheets.
    Scripts of the page may call the origin of the URL `calls` beside their own.
    """
    links = "\n".join(f'<link rel="stylesheet" href="{escape(url)}">' for url in styles)
    page = HTMLResponse(_PAGE.format(title=escape(title), head=f"{links}\n{head}".strip(), body=body))
    page.headers["content-security-policy"] = _POLICY.format(connect=source_list(calls))
    page.headers["referrer-policy"] = "same-origin"
    page.headers["x-content-type-options"] = "nosniff"
    return page
