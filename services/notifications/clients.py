"""The clients of other services: identity, for the addresses of users."""

from meshwright.identity.v1.identity_grpc import IdentityServiceClient
from meshwright.identity.v1.identity_pb import ResolveUserRequest

from mesh.client import Channel
from mesh.errors import NotFound


class Users:
    """The users of the identity service. Calls are authorised by the channel's service token."""

    def __init__(self, channel: Channel) -> None:
        self._client = IdentityServiceClient(channel)

    async def find_address(self, user: str) -> str | None:
        """Returns the e-mail address of a user ("users/{uid}"), None if the user does not exist. Raises the MeshError
        of a failed call.
        """
        try:
            answer = await self._client.resolve_user(ResolveUserRequest(user=user))
        except NotFound:
            return None
        return answer.email
