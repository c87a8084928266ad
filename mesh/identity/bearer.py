"""Authentication by bearer tokens (RFC 6750)."""

from mesh.contract.policy import Policy
from mesh.errors import Unauthenticated
from mesh.identity.caller import ANONYMOUS, Caller
from mesh.identity.token_errors import REVOKED
from mesh.identity.verifier import Verifier


def bearer_token(authorization: str) -> str | None:
    """Returns the token in an Authorization header (RFC 6750, section 2.1), None if the header is empty or has another
    scheme.
    """
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def authenticate(token: str, verifier: Verifier, policy: Policy) -> Caller:
    """Returns the caller who sent this token to a method with this policy. For a public method the caller is anonymous
    if the token was revoked, because a client that signs out and in again may still send it. Raises as
    Verifier.verify() does.
    """
    try:
        return await verifier.verify(token)
    except Unauthenticated as error:
        if policy.public and error.reason == REVOKED:
            return ANONYMOUS
        raise
