"""The IP addresses that webhooks may be sent to."""

import ipaddress
from collections.abc import Iterable
from typing import Final, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# Of the other IPv6 addresses some lead to IPv4 addresses behind a translator: mapped ones and those of NAT64.
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_TUNNELS: Final = (ipaddress.IPv6Network("2001::/32"), ipaddress.IPv6Network("2002::/16"))  # Teredo, 6to4


class ReachableAddresses:
    """The public addresses, and those in networks that an operator allows."""

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def __contains__(self, address: Address) -> bool:
        """Returns whether a webhook may be sent there. Private, loopback, link-local, shared (RFC 6598), multicast and
        reserved addresses are not public, nor are those of IPv6 that stand for an address of IPv4.
        """
        if any(address.version == network.version and address in network for network in self._allowed):
            return True
        if address.version == 6 and (address not in _GLOBAL_UNICAST or any(address in net for net in _TUNNELS)):
            return False
        return address.is_global and not address.is_multicast and not address.is_reserved
