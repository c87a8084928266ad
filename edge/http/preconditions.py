"""Conditional requests (RFC 9110, section 13) with If-Match and If-None-Match.

The service evaluates If-Match of a change, because it receives the etag in its request (edge.bind.header_fields). This
module evaluates If-Match and If-None-Match of reads.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from edge.http.entity_tags import ANY, etag_of, matches, parse_tags
from edge.http.errors import HttpError
from edge.http.headers import malformed_header
from edge.http.request import Request
from mesh.errors import Aborted

IF_MATCH: Final = b"if-match"
IF_NONE_MATCH: Final = b"if-none-match"

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


def check_if_match(tag: bytes, headers: Mapping[bytes, bytes]) -> None:
    """Raises HttpError 412 if a read returned a version that If-Match does not list, InvalidArgument if the header is
    malformed. `tag` is the tag of the result.
    """
    if (header := headers.get(IF_MATCH)) is None:
        return
    try:
        versions = parse_if_match(header)
    except ValueError as error:
        raise malformed_header("If-Match", str(error)) from None
    if versions and etag_of(tag) not in versions:
        raise HttpError(412, "The resource has changed: its version is not in If-Match.", "PRECONDITION_FAILED")


def precondition_failed(error: Aborted) -> HttpError:
    """Returns the HTTP error for a service's rejection of the etag from If-Match (RFC 9110, section 13.1.1)."""
    failed = HttpError(
        412,
        error.message,
        error.reason,
        metadata=error.metadata,
        violations=error.violations,
        retry_after_s=error.retry_after_s,
    )
    failed.received_status = error.received_status
    failed.initial_metadata, failed.trailing_metadata = error.initial_metadata, error.trailing_metadata
    return failed


def matches_if_none_match(tag: bytes, headers: Mapping[bytes, bytes]) -> bool:
    """Returns whether If-None-Match lists a tag. A malformed header lists none."""
    if (header := headers.get(IF_NONE_MATCH)) is None:
        return False
    try:
        return matches(tag, parse_tags(header))
    except ValueError:
        return False
