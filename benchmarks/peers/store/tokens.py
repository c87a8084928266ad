"""The check of access tokens: signed JSON Web Tokens with a shared secret."""

import time
from typing import Annotated, Final, TypeAlias

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import BaseModel

ALGORITHM: Final = "HS256"
AUDIENCE: Final = "shop"
LIFETIME_S: Final = 3600
STAFF: Final = "staff"

_bearer = HTTPBearer()
_claims = jwt.JWTClaimsRegistry(
    sub={"essential": True}, exp={"essential": True}, aud={"essential": True, "value": AUDIENCE}
)


class User(BaseModel):
    """The user who calls."""

    id: str
    scopes: frozenset[str]


def issue_token(secret: str, user: str, *scopes: str) -> str:
    """Returns an access token. The twin has no identity service: the benchmark signs its users in by itself."""
    claims = {"sub": user, "aud": AUDIENCE, "exp": int(time.time()) + LIFETIME_S, "scope": " ".join(scopes)}
    return jwt.encode({"alg": ALGORITHM}, claims, OctKey.import_key(secret))


async def _current_user(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials, Depends(_bearer)]
) -> User:
    try:
        token = jwt.decode(credentials.credentials, request.app.state.jwt_key, algorithms=[ALGORITHM])
        _claims.validate(token.claims)
    except (JoseError, ValueError) as error:
        raise HTTPException(401, "The access token is invalid.") from error
    return User(id=token.claims["sub"], scopes=frozenset(token.claims.get("scope", "").split()))


CurrentUser: TypeAlias = Annotated[User, Depends(_current_user)]


async def _staff(user: CurrentUser) -> User:
    if STAFF not in user.scopes:
        raise HTTPException(403, "Only staff may do that.")
    return user


StaffUser: TypeAlias = Annotated[User, Depends(_staff)]
