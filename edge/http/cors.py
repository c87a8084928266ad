"""Cross-origin requests from browsers: https://fetch.spec.whatwg.org/#http-cors-protocol."""

from collections.abc import Collection, Iterable
from typing import Final

from edge.http.headers import Headers
from edge.http.request import Request

ANY_ORIGIN: Final = "*"

# Response headers that scripts may read, besides the CORS-safelisted ones and the metadata of responses.
_EXPOSED: Final = (
    *("accept", "accept-encoding", "accept-patch", "accept-post", "accept-ranges", "allow", "connect-content-encoding"),
    *("content-disposition", "content-range", "etag", "grpc-encoding", "link", "location"),
    *("ratelimit", "ratelimit-policy", "retry-after", "www-authenticate", "x-request-id"),
)


class Cors:
    """The CORS policy of the edge. Credentials are tokens in a header, never cookies."""

    def __init__(self, origins: Collection[str], max_age_s: int, metadata: Iterable[str] = ()) -> None:
        """`origins` are the allowed origins; "*" allows all, and an empty collection disables CORS. `metadata` are the
        names of the response metadata that clients see; Connect prefixes the names of trailing metadata.
        """
        exposed = [*_EXPOSED, *(f"{prefix}{name}" for name in metadata for prefix in ("", "trailer-"))]
        self._exposed = ", ".join(exposed).encode()
        self._any = ANY_ORIGIN in origins
        self._origins = frozenset(origin.encode() for origin in origins)
        self._max_age = str(max_age_s).encode()

    def is_preflight(self, request: Request) -> bool:
        """Returns whether a request is a preflight."""
        headers = request.headers
        return request.method == "OPTIONS" and b"origin" in headers and b"access-control-request-method" in headers

    def allows(self, origin: bytes) -> bool:
        """Returns whether the scripts of an origin may call."""
        return self._any or origin in self._origins

    def headers(self, request: Request) -> Headers:
        """Returns the headers for any reply. If every origin is allowed they don't depend on the request, so that a
        cache can serve the reply to all origins.
        """
        if not self._origins:
            return []
        origin = b"*" if self._any else request.headers.get(b"origin", b"")
        vary: Headers = [] if self._any else [(b"vary", b"origin")]
        if not self.allows(origin):
            return vary
        return [*vary, (b"access-control-allow-origin", origin), (b"access-control-expose-headers", self._exposed)]

    def preflight(self, request: Request, allow: bytes) -> Headers:
        """Returns the additional headers for the reply to OPTIONS, which may be a preflight. `allow` are the methods of
        the path.
        """
        if not self._origins:
            return []
        headers: Headers = [(b"vary", b"access-control-request-method, access-control-request-headers")]
        if not self.is_preflight(request) or not self.allows(request.headers[b"origin"]):
            return headers
        headers += [(b"access-control-allow-methods", allow), (b"access-control-max-age", self._max_age)]
        if wanted := request.headers.get(b"access-control-request-headers"):
            headers.append((b"access-control-allow-headers", wanted))
        return headers
