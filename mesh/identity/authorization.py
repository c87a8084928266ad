"""Authorization of a caller by the policy of a method."""

from mesh.contract.policy import Policy
from mesh.errors import PermissionDenied, Unauthenticated
from mesh.identity.caller import Caller


def authorize(policy: Policy, caller: Caller) -> None:
    """Raises Unauthenticated or PermissionDenied unless the policy admits this caller."""
    workload = caller.workload
    if workload is not None and policy.admits_workload(workload):
        return
    if not caller.subject and (policy.internal or not policy.public):
        raise Unauthenticated("This call requires an access token.", reason="TOKEN_MISSING")
    if policy.internal:
        raise PermissionDenied(
            "Only the workloads that the contract names may call this method.", reason="CALLER_NOT_ALLOWED"
        )
    if missing := policy.scopes - caller.scopes:
        scope = " ".join(sorted(missing))
        raise PermissionDenied(
            f"The access token lacks the scope {scope}.", reason="SCOPE_MISSING", metadata={"scope": scope}
        )


def authorize_connection(policy: Policy, workload: str) -> None:
    """Raises PermissionDenied unless the contract admits calls from this workload, with any token. A service mesh would
    reject the call in the same way.
    """
    if not policy.admits_connection(workload):
        raise PermissionDenied(
            f"The contract does not name {workload!r} among the callers of this method.", reason="CALLER_NOT_ALLOWED"
        )
