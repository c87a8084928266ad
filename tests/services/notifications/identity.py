"""A stand-in for the identity service, which serves users from a dictionary over gRPC."""

from uuid import uuid4

from meshwright.identity.v1.account_pb import FetchOneTimeTokenRequest, FetchOneTimeTokenResponse
from meshwright.identity.v1.identity_grpc import IdentityServiceBase
from meshwright.identity.v1.identity_pb import ResolveUserRequest, ResolveUserResponse

from mesh.errors import NotFound
from mesh.rpc import Call
from tests.services.calls import standing_in_for


class IdentityStandIn:
    """The stand-in. It holds users by name, and records the callers in `callers`."""

    def __init__(self) -> None:
        self.users: dict[str, ResolveUserResponse] = {}
        self.tokens: dict[str, FetchOneTimeTokenResponse] = {}
        self.callers: list[str] = []
        self.service = standing_in_for(
            IdentityServiceBase, resolve_user=self._resolve_user, fetch_one_time_token=self._fetch
        )

    def add(self, user: str, email: str, *, confirmed: bool = False) -> None:
        """Adds a user, whose name is Ada."""
        self.users[user] = ResolveUserResponse(email=email, display_name="Ada", email_confirmed=confirmed)

    def add_token(self, email: str, link: str) -> str:
        """Adds a one-time token that is to be mailed to an address; returns its identifier."""
        token_id = str(uuid4())
        self.tokens[token_id] = FetchOneTimeTokenResponse(email=email, link=link)
        return token_id

    async def _resolve_user(self, request: ResolveUserRequest, call: Call) -> ResolveUserResponse:
        self.callers.append(call.caller.subject)
        if request.user not in self.users:
            raise NotFound("There is no such user.", reason="USER_NOT_FOUND")
        return self.users[request.user]

    async def _fetch(self, request: FetchOneTimeTokenRequest, call: Call) -> FetchOneTimeTokenResponse:
        self.callers.append(call.caller.subject)
        if request.id not in self.tokens:
            raise NotFound("There is no such token.", reason="ONE_TIME_TOKEN_NOT_FOUND")
        return self.tokens[request.id]
