"""The resolver of host names, which leaves out the addresses that webhooks may not be sent to."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeAlias

from services.notifications.domain.reachable_addresses import Address, ReachableAddresses

LOOKUP_TIMEOUT_S: Final = 5.0
THREADS_MAX: Final = 64
"""Look-ups at the same time, each of another host. A name server that does not answer occupies a thread beyond the
timeout.
"""

LOOKUPS_PER_OWNER_MAX: Final = 4
"""The look-ups at the same time that one user's endpoints began, so that a few users can't occupy all threads."""

Lookup: TypeAlias = Callable[[str], Sequence[str]]
"""A blocking function that returns the addresses of a name, and raises OSError."""


class UnreachableHost(Exception):
    """A host that webhooks can't be sent to. The message is for its owner."""


class Resolver:
    """The resolver, with threads of its own, so that slow name servers delay nobody else's look-ups."""

    def __init__(self, reachable: ReachableAddresses, lookup: Lookup | None = None) -> None:
        self._reachable = reachable
        self._lookup = lookup or _getaddrinfo
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="resolver")
        self._running: dict[str, tuple[str, asyncio.Future[Sequence[str]]]] = {}  # by host, with the owner

    async def resolve(self, host: str, owner: str) -> Sequence[Address]:
        """Returns the addresses of a host that webhooks may be sent to, at least one. Connect to one of them, not to
        the name: another look-up could have another result. Raises UnreachableHost, with the same message for a name
        that does not exist and one of a private network, so that nobody learns which names there are inside; also if
        too many look-ups run for this owner.
        """
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                found = await asyncio.shield(self._found(host, owner))
        except TimeoutError:
            raise UnreachableHost("the host name could not be resolved in time") from None
        except (OSError, UnicodeError):
            found = ()
        addresses = [address for text in found if (address := ipaddress.ip_address(text)) in self._reachable]
        if not addresses:
            raise UnreachableHost("the host name does not lead to a public address")
        return addresses

    def _found(self, host: str, owner: str) -> "asyncio.Future[Sequence[str]]":
        """Returns the result of a look-up, one at a time for a host: whoever comes while it runs shares it. Otherwise,
        deliveries to a host without a name server that answers would occupy all threads.
        """
        if host not in self._running:
            if sum(began == owner for began, _ in self._running.values()) >= LOOKUPS_PER_OWNER_MAX:
                raise UnreachableHost("too many other host names of the same user are being resolved")
            found = asyncio.get_running_loop().run_in_executor(self._threads, self._lookup, host)
            self._running[host] = owner, found
            found.add_done_callback(partial(self._ended, host))
        return self._running[host][1]

    def _ended(self, host: str, found: "asyncio.Future[Sequence[str]]") -> None:
        del self._running[host]
        if not found.cancelled():
            found.exception()  # else asyncio logs it, if everybody has given up


def _getaddrinfo(host: str) -> Sequence[str]:
    try:
        return _addresses(host, socket.AI_NUMERICHOST)
    except socket.gaierror:
        return _addresses(_absolute(host), socket.AI_ADDRCONFIG)


def _absolute(host: str) -> str:
    """Returns a name with a final dot: the search domains of this machine, such as those of a cluster, are not tried.
    "localhost" is not looked up in DNS (RFC 6761, section 6.3).
    """
    return host if host == "localhost" else f"{host.removesuffix('.')}."


def _addresses(host: str, flags: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    return [str(address[0]) for *_, address in found]
