"""The page with the mails that the local mesh has sent.

Mails are untrusted, so the HTML contains none of their texts. The script fetches them as JSON and creates text nodes.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from local.mailbox import Mailbox

_FILES = Path(__file__).parent / "static"
_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_NOT_FOUND = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Mail</title>
</head>
<body>
<h1>Mail</h1>
<p>The mails are at a secret address, because all users of this machine reach this port.</p>
<p><code>make up</code> and <code>make compose</code> print it.</p>
</body>
</html>
"""


def mail_page(mailbox: Mailbox, token: str | None) -> Starlette:
    """Returns the application: `/` for people and `/messages` as JSON for programs, both below `/<token>` if given."""

    async def list_messages(request: Request) -> Response:
        etag = f'"{mailbox.version()}"'
        headers = {**_HEADERS, "etag": etag}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        fields = ("id", "time", "sender", "to", "subject", "text")
        messages = mailbox.messages()
        return JSONResponse(
            [{name: getattr(message, name) for name in fields} for message in messages], headers=headers
        )

    routes = [
        Route("/", _file("mail.html")),
        Route("/mail.css", _file("mail.css")),
        Route("/mail.js", _file("mail.js")),
        Route("/messages", list_messages),
    ]
    mounted = [Mount(f"/{token}", routes=routes)] if token else routes
    return Starlette(routes=mounted, exception_handlers={404: _not_found})


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(_: Request) -> Response:
        return FileResponse(_FILES / name, headers=_HEADERS)

    return serve


async def _not_found(_: Request, __: Exception) -> Response:
    return HTMLResponse(_NOT_FOUND, 404, headers=_HEADERS)
