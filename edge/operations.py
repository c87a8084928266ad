"""The pages of the operations port on the edge's own port, for an edge that has no other."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mesh.operations import Readiness, page

PATHS = ("/livez", "/readyz", "/metrics")


def routes(readiness: Readiness) -> list[Route]:
    """A route for each page."""

    async def serve(request: Request) -> Response:
        found = await page(request.url.path, readiness)
        assert found is not None, "only the paths below lead here"
        return Response(found.body, found.status, media_type=found.media_type)

    return [Route(path, serve) for path in PATHS]
