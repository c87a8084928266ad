"""One method of a contract, as generated code declares it."""

from dataclasses import dataclass
from typing import Generic, Literal, Self, TypeAlias, TypeVar

from protobuf import DescMethod, Message

from mesh.contract.policy import Policy, is_idempotent, policy_of

Req = TypeVar("Req", bound=Message)
Res = TypeVar("Res", bound=Message)

Kind: TypeAlias = Literal["unary", "server_streaming", "client_streaming", "bidi_streaming"]


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
