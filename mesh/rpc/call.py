"""One call as its handler sees it, and the call that is being handled."""

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from protobuf import Message

from mesh.identity import ANONYMOUS, Caller

CLIENT_ADDRESS = "x-meshwright-client-address"
"""The metadata that says from which IP address a request of the public came. The edge sets it; a client can't, for the
edge passes no header with this prefix on.
"""

WORKLOAD = "x-meshwright-workload"
"""The metadata in which a workload names itself where no service mesh knows it. It takes rights away and gives none:
the workload may make only those calls that the contract lets it. So a forged one is worth nothing.
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as its handler sees it. `deadline` is a time.monotonic() second; `metadata` holds the caller's text
    headers; `response` is the type of message that the method answers with.
    """

    path: str
    caller: Caller = ANONYMOUS
    deadline: float = float("inf")
    metadata: Mapping[str, str] = field(default_factory=dict)
    response: type[Message] = Message

    @property
    def client_address(self) -> str:
        """The IP address that the public request came from, empty if it is not known."""
        return self.metadata.get(CLIENT_ADDRESS, "")

    def remaining_s(self) -> float:
        """The seconds left for this call, never below zero."""
        return max(0.0, self.deadline - time.monotonic())


current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)
"""The call being handled in this context, so that calls made on its behalf inherit its deadline and its caller's
token.
"""
