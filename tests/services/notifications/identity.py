"""An identity service that answers over gRPC from a dictionary."""

from meshwright.identity.v1.identity_grpc import IdentityServiceBase
from meshwright.identity.v1.identity_pb import ResolveUserRequest, ResolveUserResponse

from mesh.errors import NotFound
from mesh.identity import ServiceTokens
from mesh.rpc import Call
from tests.issuer import Issuer
from tests.services.calls import standing_in_for


class IdentityStandIn:
    """Users by name; those who asked for them are kept in `callers`."""

    def __init__(self) -> None:
        self.users: dict[str, ResolveUserResponse] = {}
        self.callers: list[str] = []
        self.service = standing_in_for(IdentityServiceBase, resolve_user=self._resolve_user)

    def add(self, user: str, email: str) -> None:
        """Registers a user, who is called Ada."""
        self.users[user] = ResolveUserResponse(email=email, display_name="Ada")

    async def _resolve_user(self, request: ResolveUserRequest, call: Call) -> ResolveUserResponse:
        self.callers.append(call.caller.subject)
        if request.user not in self.users:
            raise NotFound("There is no such user.", reason="USER_NOT_FOUND")
        return self.users[request.user]


class IssuedTokens(ServiceTokens):
    """The tokens that the issuer gives to the notifications workload."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer

    async def token(self) -> str:
        """A good token."""
        return self._issuer.token("workloads/notifications")
