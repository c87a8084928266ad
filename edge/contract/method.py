"""The methods of a contract."""

from functools import cached_property

from protobuf import DescMethod

from edge.contract.types import LazyTypes
from mesh.contract.policy import Policy, is_idempotent, policy_of


class Method:
    """One RPC. `name` is "package.Service.Method" and `path` its path in gRPC, "/package.Service/Method"."""

    def __init__(
        self,
        service: str,
        name: str,
        types: LazyTypes,
        *,
        has_effects: bool,
        streams: bool,
        issues_tokens: bool,
        authorizes_clients: bool,
    ) -> None:
        """`has_effects` is false only if the contract has idempotency_level NO_SIDE_EFFECTS. `streams` is true if the
        request or the response is a stream, `issues_tokens` if their types are those of an OAuth 2.0 token endpoint,
        `authorizes_clients` if the request is that of an authorization endpoint.
        """
        self.name = f"{service}.{name}"
        self.path = f"/{service}/{name}"
        self.service = service
        self.has_effects = has_effects
        self.streams = streams
        self.issues_tokens = issues_tokens
        self.authorizes_clients = authorizes_clients
        self._types = types

    @cached_property
    def desc(self) -> DescMethod:
        """Returns the method's descriptor."""
        service = self._types.service(self.service)
        assert service is not None, "the image declares it"
        return next(method for method in service.methods if self.path.endswith(f"/{method.name}"))

    @cached_property
    def policy(self) -> Policy:
        """Returns the policy that the contract declares for the method."""
        return policy_of(self.desc)

    @cached_property
    def idempotent(self) -> bool:
        """Returns whether a call may be retried when it is unknown whether it was carried out."""
        return is_idempotent(self.desc)
