"""A call as its handler receives it, and the call being handled in the current context."""

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from protobuf import Message

from mesh.identity import ANONYMOUS, Caller

CLIENT_ADDRESS = "x-meshwright-client-address"
"""The metadata key of the IP address from which a public request came. The edge sets it; clients can't, because the
edge does not forward their headers with this prefix.
"""

USER_AGENT = "x-meshwright-user-agent"
"""The metadata key of the User-Agent header of a public request at a token endpoint. The edge sets it, in printable
ASCII.
"""

WORKLOAD = "x-meshwright-workload"
"""The metadata key by which a workload identifies itself where no service mesh does. It only restricts rights, to the
calls that the contract allows this workload, so that a forged one gains nothing.
"""


@dataclass(frozen=True, slots=True)
class Call:
    """A call as its handler receives it. `deadline` is a time.monotonic() second; `metadata` holds the caller's text
    metadata; `response` is the type of the method's response.
    """

    path: str
    caller: Caller = ANONYMOUS
    deadline: float = float("inf")
    metadata: Mapping[str, str] = field(default_factory=dict)
    response: type[Message] = Message

    @property
    def client_address(self) -> str:
        """Returns the IP address from which the public request came, empty if it is not known."""
        return self.metadata.get(CLIENT_ADDRESS, "")

    def remaining_s(self) -> float:
        """Returns the seconds left until the deadline, never less than zero."""
        return max(0.0, self.deadline - time.monotonic())


current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)
"""The call being handled in this context. Calls made on its behalf inherit its deadline and its caller's token."""
