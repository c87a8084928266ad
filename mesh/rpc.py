"""The vocabulary of a remote procedure call: what generated code, the server and the client share."""

import abc
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, Self, TypeAlias, TypeVar

from protobuf import DescMethod, DescService, Message
from protobuf.wkt.google.protobuf.descriptor_pb import MethodOptions

from mesh.contract.policy import Policy, policy_of
from mesh.identity import ANONYMOUS, Caller

Req = TypeVar("Req", bound=Message)
Res = TypeVar("Res", bound=Message)

CLIENT_ADDRESS = "x-meshwright-client-address"
"""The metadata that says from which IP address a request of the public came. The edge sets it; a client can't, for the
edge passes no header with this prefix on.
"""

Kind: TypeAlias = Literal["unary", "server_streaming", "client_streaming", "bidi_streaming"]

_IDEMPOTENT = frozenset({MethodOptions.IdempotencyLevel.NO_SIDE_EFFECTS, MethodOptions.IdempotencyLevel.IDEMPOTENT})


def is_idempotent(desc: DescMethod) -> bool:
    """Whether the contract says that calling a method twice does no more than calling it once."""
    return desc.idempotency in _IDEMPOTENT


@dataclass(frozen=True, slots=True)
class Method(Generic[Req, Res]):
    """One method of a contract. `path` is its name on the wire, "/package.Service/Method"."""

    name: str
    path: str
    kind: Kind
    request: type[Req]
    response: type[Res]
    idempotent: bool
    policy: Policy

    @classmethod
    def of(cls, desc: DescMethod, request: type[Req], response: type[Res]) -> Self:
        """Reads a method's record from its descriptor."""
        path = f"/{desc.parent.type_name}/{desc.name}"
        return cls(desc.name, path, desc.method_kind, request, response, is_idempotent(desc), policy_of(desc))

    @property
    def streams(self) -> bool:
        """Whether there is a stream of messages in either direction."""
        return self.kind != "unary"


@dataclass(frozen=True, slots=True)
class Call:
    """One call as its handler sees it. `deadline` is a time.monotonic() second; `metadata` holds the caller's text
    headers.
    """

    path: str
    caller: Caller = ANONYMOUS
    deadline: float = float("inf")
    metadata: Mapping[str, str] = field(default_factory=dict)

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


@dataclass(frozen=True, slots=True)
class Handler:
    """A method and what serves it: a coroutine function, or an asynchronous generator if it answers a stream. It takes
    the request, or the iterator of requests, and the call.
    """

    method: Method[Any, Any]
    serve: Callable[[Any, Call], Any]


class Service(abc.ABC):
    """The base of every generated service base."""

    DESC: ClassVar[DescService]

    @abc.abstractmethod
    def handlers(self) -> tuple[Handler, ...]:
        """The service's methods with what serves them."""
