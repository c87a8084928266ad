"""What a reply says about its reuse (RFC 9111)."""

from mesh.contract.policy import Policy


def cache_control(policy: Policy, *, is_read: bool) -> bytes:
    """What the contract says about reuse. Where it says nothing, a read may be kept but must be checked each time, and
    only by the client itself if its token decides what it sees.
    """
    if policy.cache_s == 0:
        return b"no-store"
    if not is_read:
        return b""
    scope = "public" if policy.public else "private"
    return (
        f"{scope}, max-age={policy.cache_s}".encode() if policy.cache_s is not None else f"{scope}, no-cache".encode()
    )
