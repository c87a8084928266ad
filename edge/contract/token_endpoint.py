"""The method of a contract that is an OAuth 2.0 token endpoint with the password grant (RFC 6749, section 4.3)."""

from collections.abc import Iterable
from typing import Final

from edge.contract.route import Route

_REQUEST_FIELDS: Final = frozenset({"grant_type", "username", "password"})
_RESPONSE_FIELD: Final = "access_token"


def token_url(routes: Iterable[Route]) -> str | None:
    """Returns the path of the first token endpoint, None if there is none. It is recognized by its fields, whose names
    RFC 6749 defines.
    """
    return next((route.template.text for route in routes if _is_token_endpoint(route)), None)


def _is_token_endpoint(route: Route) -> bool:
    method = route.method
    if route.http_method != "POST" or not route.whole_body or route.template.variables or method.streams:
        return False
    return {field.name for field in method.desc.input.fields} >= _REQUEST_FIELDS and any(
        field.json_name == _RESPONSE_FIELD for field in method.desc.output.fields
    )
