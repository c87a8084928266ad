"""One RPC of a contract."""

from functools import cached_property

from protobuf import DescMethod

from edge.contract.types import Types
from mesh.contract.policy import Policy, is_idempotent, policy_of


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
        return is_idempotent(self.desc)
