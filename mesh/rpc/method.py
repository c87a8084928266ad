"""A method of a contract, as generated code declares it."""

from dataclasses import dataclass
from typing import Generic, Literal, Self, TypeAlias, TypeVar

from protobuf import DescMethod, Message

from mesh.contract.policy import Policy, is_idempotent, policy_of

Req = TypeVar("Req", bound=Message)
Res = TypeVar("Res", bound=Message)

Kind: TypeAlias = Literal["unary", "server_streaming", "client_streaming", "bidi_streaming"]


@dataclass(frozen=True, slots=True)
class Method(Generic[Req, Res]):
    """A method of a contract. `path` is its name in gRPC, "/package.Service/Method"."""

    name: str
    path: str
    kind: Kind
    request: type[Req]
    response: type[Res]
    idempotent: bool
    policy: Policy

    @classmethod
    def of(cls, desc: DescMethod, request: type[Req], response: type[Res]) -> Self:
        """Returns the method of a descriptor."""
        path = f"/{desc.parent.type_name}/{desc.name}"
        return cls(desc.name, path, desc.method_kind, request, response, is_idempotent(desc), policy_of(desc))

    @property
    def streams(self) -> bool:
        """Returns whether messages stream in either direction."""
        return self.kind != "unary"
