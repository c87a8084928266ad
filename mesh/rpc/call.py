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

WORKLOAD = "x-meshwright-workload"
"""The metadata in which a workload names itself where no service mesh knows it. It takes rights away and gives none:
the workload may make only those calls that the contract lets it. So a forged one is worth nothing.
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
