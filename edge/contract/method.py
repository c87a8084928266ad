"""One RPC of a contract."""

from functools import cached_property
from typing import Final

from protobuf import DescMethod
from protobuf.wkt.google.protobuf.descriptor_pb import MethodOptions

from edge.contract.types import Types
from mesh.contract.policy import Policy, policy_of

_IDEMPOTENT: Final = frozenset(
    {MethodOptions.IdempotencyLevel.NO_SIDE_EFFECTS, MethodOptions.IdempotencyLevel.IDEMPOTENT}
)


class Method:
    """One RPC. `name` is "package.Service.Method", `path` what gRPC sends, "/package.Service/Method"."""

    def __init__(self, service: str, name: str, types: Types, *, has_effects: bool, streams: bool) -> None:
        """`has_effects` is false only if the contract says so: by idempotency_level NO_SIDE_EFFECTS. `streams` says
        that requests or responses may be several messages.
        """
        self.name = f"{service}.{name}"
        self.path = f"/{service}/{name}"
        self.service = service
        self.has_effects = has_effects
        self.streams = streams
        self._types = types

    @cached_property
    def desc(self) -> DescMethod:
        """The method's descriptor."""
        service = self._types.service(self.service)
        assert service is not None, "the image declares it"
        return next(method for method in service.methods if self.path.endswith(f"/{method.name}"))

    @cached_property
    def policy(self) -> Policy:
        """What the contract says about its operation."""
        return policy_of(self.desc)

    @cached_property
    def idempotent(self) -> bool:
        """Whether it may be called again when nobody knows if it was carried out."""
        return self.desc.idempotency in _IDEMPOTENT
