"""The method of a contract that is an OAuth 2.0 authorization endpoint with PKCE (RFC 6749, section 3.1; RFC 7636)."""

from collections.abc import Iterable
from typing import Final

from google.protobuf.descriptor_pb2 import MethodDescriptorProto

from edge.contract.route import Route
from edge.contract.rule_checks import Messages

_REQUEST_FIELDS: Final = frozenset({"client_id", "redirect_uri", "response_type", "code_challenge"})


def authorizes_clients(method: MethodDescriptorProto, messages: Messages) -> bool:
    """Returns whether a method has the request of an authorization endpoint. It is recognized by its fields, whose
    names the RFCs define, and need not be built for that.
    """
    request = messages.get(method.input_type[1:])
    return request is not None and {field.name for field in request.field} >= _REQUEST_FIELDS


def authorization_url(routes: Iterable[Route]) -> str | None:
    """Returns the path of the first authorization endpoint, None if there is none."""
    return next((route.template.text for route in routes if _is_authorization_endpoint(route)), None)


def _is_authorization_endpoint(route: Route) -> bool:
    is_page = route.http_method == "GET" and not route.template.variables
    return is_page and route.method.authorizes_clients and not route.method.streams
