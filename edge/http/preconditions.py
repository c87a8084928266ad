"""Conditional requests (RFC 9110, section 13) by entity-tags and dates.

The service evaluates If-Match of a change, because it receives the etag in its request (edge.bind.header_fields). This
module evaluates the preconditions of reads by the headers of their replies, whoever set these.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from edge.http.entity_tags import ANY, etag_of, matches, parse_tags
from edge.http.errors import HttpError
from edge.http.headers import Headers, malformed_header
from edge.http.http_date import parse_http_date
from edge.http.request import Request
from mesh.errors import Aborted, MeshError

IF_MATCH: Final = b"if-match"
IF_NONE_MATCH: Final = b"if-none-match"
_IF_MODIFIED_SINCE: Final = b"if-modified-since"
_IF_UNMODIFIED_SINCE: Final = b"if-unmodified-since"
_PRECONDITIONS: Final = frozenset({IF_MATCH, IF_NONE_MATCH, _IF_MODIFIED_SINCE, _IF_UNMODIFIED_SINCE})

VERSIONS_MAX: Final = 4
"""The maximum number of versions in an If-Match. The service is called with each until one matches."""

_NO_LIST: Final = 'must be entity tags in quotes, as in the ETag header, or "*"'


def parse_if_match(header: bytes) -> dict[str, bytes]:
    """Parses an If-Match. Returns its versions in order, each with a tag, or nothing for "*". Raises ValueError with
    the description of the error.
    """
    try:
        tags = parse_tags(header)
    except ValueError:
        raise ValueError(_NO_LIST) from None
    found = {etag_of(tag): tag for tag in tags if tag != ANY}
    if len(found) > VERSIONS_MAX:
        raise ValueError(f"must not list more than {VERSIONS_MAX} versions")
    return found


def split_by_version(request: Request) -> list[Request]:
    """Splits a request with If-Match into one request for each listed version. Returns the request itself if there is
    no version, or if the header is malformed, which is reported when it is bound.
    """
    try:
        versions = parse_if_match(request.headers.get(IF_MATCH, ANY))
    except ValueError:
        versions = {}
    return [replace(request, headers={**request.headers, IF_MATCH: tag}) for tag in versions.values()] or [request]


def is_mismatch(error: MeshError) -> bool:
    """Returns whether a service rejects the etag. With google.rpc.RetryInfo it asks for the same call again, because of
    a conflict that passes, such as a lock.
    """
    return isinstance(error, Aborted) and error.retry_after_s is None


def precondition_failed(error: MeshError) -> HttpError:
    """Returns the HTTP error for a service's rejection of the etag from If-Match (RFC 9110, section 13.1.1)."""
    failed = HttpError(412, error.message, error.reason, metadata=error.metadata, violations=error.violations)
    failed.received_status = error.received_status
    failed.initial_metadata, failed.trailing_metadata = error.initial_metadata, error.trailing_metadata
    return failed


def check_current(request: Request, status: int, headers: Headers) -> None:
    """Evaluates If-Match and If-Unmodified-Since of a read by the status and the headers of its reply. Raises HttpError
    412 if the client asked for another representation, InvalidArgument if If-Match is malformed.
    """
    given = request.headers
    if not _is_conditional(request, status):
        return
    own = dict(headers)
    if IF_MATCH in given:
        _check_if_match(given[IF_MATCH], own.get(b"etag"))
    elif _is_later(_modified(own), given.get(_IF_UNMODIFIED_SINCE)):
        raise HttpError(412, "The resource has changed since the date in If-Unmodified-Since.", "PRECONDITION_FAILED")


def is_not_modified(request: Request, status: int, headers: Headers) -> bool:
    """Evaluates If-None-Match and If-Modified-Since of a read, after check_current() as RFC 9110, section 13.2.2,
    demands. Returns whether the client already has this representation.
    """
    given = request.headers
    if not _is_conditional(request, status):
        return False
    own = dict(headers)
    if IF_NONE_MATCH in given:
        tag = own.get(b"etag")
        return tag is not None and _lists(given[IF_NONE_MATCH], tag)
    return _is_later(_modified(own), given.get(_IF_MODIFIED_SINCE)) is False


def _is_conditional(request: Request, status: int) -> bool:
    is_read = request.method in ("GET", "HEAD")
    return is_read and 200 <= status < 300 and not _PRECONDITIONS.isdisjoint(request.headers)


def _modified(headers: dict[bytes, bytes]) -> datetime | None:
    return parse_http_date(headers.get(b"last-modified", b""))


def _check_if_match(header: bytes, tag: bytes | None) -> None:
    try:
        versions = parse_if_match(header)
    except ValueError as error:
        raise malformed_header("If-Match", str(error)) from None
    if versions and (tag is None or etag_of(tag) not in versions):
        raise HttpError(412, "The resource has changed: its version is not in If-Match.", "PRECONDITION_FAILED")


def _lists(if_none_match: bytes, tag: bytes) -> bool:
    """Returns whether If-None-Match lists a tag. A malformed header lists none."""
    try:
        return matches(tag, parse_tags(if_none_match))
    except ValueError:
        return False


def _is_later(modified: datetime | None, header: bytes | None) -> bool | None:
    """Returns whether a resource was modified after the date in a header, None if one of them is not known."""
    since = parse_http_date(header) if header is not None else None
    return modified > since if modified is not None and since is not None else None
