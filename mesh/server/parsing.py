"""The parsing of requests to the services of gRPC itself, which have no policy and no rules."""

from typing import TypeVar

from protobuf import Message

from mesh.errors import Code
from mesh.rpc.call_error import CallError
from mesh.rpc.parse_errors import PARSE_ERRORS

M = TypeVar("M", bound=Message)


def parse(kind: type[M], request: bytes) -> M:
    """Returns a request. Raises CallError."""
    try:
        return kind.from_binary(request)
    except PARSE_ERRORS as error:
        raise CallError(Code.INVALID_ARGUMENT, f"The request is not a {kind.desc().type_name}.") from error
