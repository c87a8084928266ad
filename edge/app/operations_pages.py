"""The operations pages, for an edge that serves them on its own port."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mesh.operations import Readiness, page

PATHS = ("/livez", "/readyz", "/metrics")


def routes(readiness: Readiness) -> list[Route]:
    """Returns a route for each page."""

    def route(path: str) -> Route:
        async def serve(_: Request) -> Response:
            found = await page(path, readiness)
            assert found is not None, "mesh.operations has a page for each path"
            return Response(found.body, found.status, media_type=found.media_type)

        return Route(path, serve)

    return list(map(route, PATHS))
