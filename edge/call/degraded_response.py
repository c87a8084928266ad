"""Degraded responses, which take the place of a service's failures if the contract allows it."""

from typing import Final

from edge.contract.method import Method
from mesh.client import UnaryResponse
from mesh.errors import Code, MeshError

FAILURES: Final = frozenset(
    {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNKNOWN}
)
"""The codes of errors that the caller can't mend."""


class DegradedResponse:
    """The degraded response of one method."""

    def __init__(self, method: Method) -> None:
        self._response: UnaryResponse | None = None
        if name := method.policy.degraded_field:
            message = method.desc.output.type.from_json(f'{{"{name}": true}}')
            self._response = UnaryResponse(message.to_binary(), (), ())

    def to(self, error: MeshError) -> UnaryResponse | None:
        """Returns the response in the place of an error, None if the error has to be returned."""
        return self._response if error.code in FAILURES else None
