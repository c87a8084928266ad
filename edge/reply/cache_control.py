"""The Cache-Control header of replies (RFC 9111)."""

from mesh.contract.policy import Policy


def cache_control(policy: Policy, *, is_read: bool) -> bytes:
    """Returns the value of Cache-Control by the contract, b"" if it needs none. By default a read may be stored but
    must be revalidated each time, and only the client itself may store it unless the method is public.
    """
    if policy.cache_s == 0:
        return b"no-store"
    if not is_read:
        return b""
    scope = "public" if policy.public else "private"
    freshness = "no-cache" if policy.cache_s is None else f"max-age={policy.cache_s:.0f}"
    return f"{scope}, {freshness}".encode()
