"""The method of a contract that is an OAuth 2.0 token endpoint with the password grant (RFC 6749, section 4.3)."""

from collections.abc import Iterable
from typing import Final

from google.protobuf.descriptor_pb2 import MethodDescriptorProto

from edge.contract.route import Route
from edge.contract.rule_checks import Messages
from edge.contract.types import json_name

_REQUEST_FIELDS: Final = frozenset({"grant_type", "username", "password"})
_RESPONSE_FIELD: Final = "access_token"


def issues_tokens(method: MethodDescriptorProto, messages: Messages) -> bool:
    """Returns whether a method has the types of a token endpoint. They are recognized by their fields, whose names RFC
    6749 defines, and need not be built for that.
    """
    request, response = messages.get(method.input_type[1:]), messages.get(method.output_type[1:])
    if request is None or response is None or not {field.name for field in request.field} >= _REQUEST_FIELDS:
        return False
    return any((field.json_name or json_name(field.name)) == _RESPONSE_FIELD for field in response.field)


def token_url(routes: Iterable[Route]) -> str | None:
    """Returns the path of the first token endpoint, None if there is none."""
    return next((route.template.text for route in routes if _is_token_endpoint(route)), None)


def _is_token_endpoint(route: Route) -> bool:
    is_form = route.http_method == "POST" and route.whole_body and not route.template.variables
    return is_form and route.method.issues_tokens and not route.method.streams
