"""A stand-in for the identity service, which serves users from a dictionary over gRPC."""

from meshwright.identity.v1.identity_grpc import IdentityServiceBase
from meshwright.identity.v1.identity_pb import ResolveUserRequest, ResolveUserResponse

from mesh.errors import NotFound
from mesh.rpc import Call
from tests.services.calls import standing_in_for


class IdentityStandIn:
    """The stand-in. It holds users by name, and records the callers in `callers`."""

    def __init__(self) -> None:
        self.users: dict[str, ResolveUserResponse] = {}
        self.callers: list[str] = []
        self.service = standing_in_for(IdentityServiceBase, resolve_user=self._resolve_user)

    def add(self, user: str, email: str) -> None:
        """Adds a user, whose name is Ada."""
        self.users[user] = ResolveUserResponse(email=email, display_name="Ada")

    async def _resolve_user(self, request: ResolveUserRequest, call: Call) -> ResolveUserResponse:
        self.callers.append(call.caller.subject)
        if request.user not in self.users:
            raise NotFound("There is no such user.", reason="USER_NOT_FOUND")
        return self.users[request.user]
