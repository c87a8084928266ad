"""Conditional requests (RFC 9110, section 13): what If-Match and If-None-Match make of a reply.

If-Match of a change is the service's to decide, which has the etag in its request (edge.implied); If-Match of a read,
and If-None-Match of one, are decided here.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from edge.http.entity_tags import ANY, listed, matches, version
from edge.http.errors import HttpError
from edge.http.headers import malformed_header
from edge.http.request import Request
from mesh.errors import Aborted

IF_MATCH: Final = b"if-match"
IF_NONE_MATCH: Final = b"if-none-match"

VERSIONS_MAX: Final = 4
"""How many versions an If-Match may list: a service takes one at a time, and is asked for each until one is right."""

_NO_LIST: Final = 'must be entity tags in quotes, as the ETag header gave them, or "*"'


def named_versions(header: bytes) -> dict[str, bytes]:
    """The versions that an If-Match lists, in their order, each with a tag that names it; none for "*". Raises
    ValueError with what is wrong with it.
    """
    try:
        tags = listed(header)
    except ValueError:
        raise ValueError(_NO_LIST) from None
    found = {version(tag): tag for tag in tags if tag != ANY}
    if len(found) > VERSIONS_MAX:
        raise ValueError(f"names more than {VERSIONS_MAX} versions")
    return found


def alternatives(request: Request) -> list[Request]:
    """The requests that an If-Match stands for, one for each version that it lists; the request itself if it lists none
    or is malformed, which is told where it is read.
    """
    try:
        versions = named_versions(request.headers.get(IF_MATCH, ANY))
    except ValueError:
        versions = {}
    return [replace(request, headers={**request.headers, IF_MATCH: tag}) for tag in versions.values()] or [request]


def check_read(tag: bytes, headers: Mapping[bytes, bytes]) -> None:
    """Raises HttpError 412 if a read of what has this tag is of no version that If-Match lists, InvalidArgument if
    that is malformed.
    """
    if (header := headers.get(IF_MATCH)) is None:
        return
    try:
        versions = named_versions(header)
    except ValueError as error:
        raise malformed_header("If-Match", str(error)) from None
    if versions and version(tag) not in versions:
        raise HttpError(412, "The resource has changed: If-Match names another version.", "PRECONDITION_FAILED")


def stale(error: Aborted) -> HttpError:
    """What a service's refusal of the etag from If-Match is in HTTP (RFC 9110, section 13.1.1), with all it said."""
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


def is_known(tag: bytes, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a client has what has this tag, by its If-None-Match. A malformed one names nothing."""
    if (header := headers.get(IF_NONE_MATCH)) is None:
        return False
    try:
        return matches(tag, listed(header))
    except ValueError:
        return False
