"""Bearer tokens (RFC 6750): found in a header, and verified as the policy of a method has it."""

from mesh.contract.policy import Policy
from mesh.errors import Unauthenticated
from mesh.identity.caller import ANONYMOUS, Caller
from mesh.identity.verifier import REVOKED, Verifier


def bearer_token(authorization: str) -> str | None:
    """The token in an Authorization header (RFC 6750, section 2.1), None if it is of another scheme or empty."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def bearer_of(token: str, verifier: Verifier, policy: Policy) -> Caller:
    """Returns the bearer of a token, as a method of this policy sees it. A public method takes one that was revoked for
    nobody: a client that signs out and in again may still send it. Raises as Verifier.verify() does.
    """
    try:
        return await verifier.verify(token)
    except Unauthenticated as error:
        if policy.public and error.reason == REVOKED:
            return ANONYMOUS
        raise
