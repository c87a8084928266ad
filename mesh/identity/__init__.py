"""The identity of callers: verification of access tokens, authorization, and the tokens of this process itself.

Knows policies of methods and the issuer's HTTP endpoints, but no calls and no gRPC.
"""

from mesh.identity.authorization import authorize, authorize_connection
from mesh.identity.bearer import authenticate, bearer_token
from mesh.identity.caller import ANONYMOUS, WORKLOAD_PREFIX, Caller
from mesh.identity.ended_tokens import EndedTokens, ended_id
from mesh.identity.key_set import ALGORITHM, KeySet, PublicKey
from mesh.identity.remote_ended_tokens import RemoteEndedTokens
from mesh.identity.remote_key_set import RemoteKeySet
from mesh.identity.service_tokens import ServiceTokens
from mesh.identity.verifier import TOKEN_BYTES_MAX, Verifier

__all__ = [
    "ALGORITHM",
    "ANONYMOUS",
    "TOKEN_BYTES_MAX",
    "WORKLOAD_PREFIX",
    "Caller",
    "EndedTokens",
    "KeySet",
    "PublicKey",
    "RemoteEndedTokens",
    "RemoteKeySet",
    "ServiceTokens",
    "Verifier",
    "authenticate",
    "authorize",
    "authorize_connection",
    "bearer_token",
    "ended_id",
]
