"""The clients of other services: identity, for the addresses of users."""

from dataclasses import dataclass

from meshwright.identity.v1.account_pb import FetchOneTimeTokenRequest
from meshwright.identity.v1.identity_grpc import IdentityServiceClient
from meshwright.identity.v1.identity_pb import ResolveUserRequest

from mesh.client import Channel
from mesh.errors import NotFound


@dataclass(frozen=True, slots=True)
class Recipient:
    """The address of a user, and whether the user has proved to read its mail."""

    address: str
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class OneTimeLink:
    """A link with a one-time token, and the address to mail it to."""

    address: str
    url: str


class Users:
    """The users of the identity service. Calls are authorised by the channel's service token."""

    def __init__(self, channel: Channel) -> None:
        self._client = IdentityServiceClient(channel)

    async def find_recipient(self, user: str) -> Recipient | None:
        """Returns the e-mail address of a user ("users/{uid}"), None if the user does not exist. Raises the MeshError
        of a failed call.
        """
        try:
            answer = await self._client.resolve_user(ResolveUserRequest(user=user))
        except NotFound:
            return None
        return Recipient(answer.email, answer.email_confirmed)

    async def find_link(self, token_id: str) -> OneTimeLink | None:
        """Returns the link of a one-time token, None if it has been used or has expired. Raises the MeshError of a
        failed call.
        """
        try:
            answer = await self._client.fetch_one_time_token(FetchOneTimeTokenRequest(id=token_id))
        except NotFound:
            return None
        return OneTimeLink(answer.email, answer.link)
