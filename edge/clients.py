"""Who a client is where nobody has named it: its address."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

PREFIX_V6 = 64
"""The bits of an IPv6 address that are its network's: whoever has one address has all of them (RFC 6177)."""


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Returns what counts as one client: an IPv4 address, or the /64 of an IPv6 one. Texts that are no address, which
    proxies may send, count as they are.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> PREFIX_V6 << PREFIX_V6)}/{PREFIX_V6}"
