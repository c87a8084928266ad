"""The trusted proxies in front of the edge, whose X-Forwarded-For names the client."""

import ipaddress
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

ANYBODY: Final = "*"
GATEWAY: Final = "gateway"

_ROUTES: Final = Path("/proc/net/route")
_HAS_GATEWAY: Final = 0x2  # RTF_GATEWAY of linux/route.h


def resolve_trusted(words: Sequence[str]) -> list[str]:
    """Resolves words to addresses and networks; `gateway` is the gateway of the default route, from which all
    connections to a container's published port come.

    Raises ValueError for any other word: it would match no proxy, and all clients would count as one.
    """
    if list(words) == [ANYBODY]:
        return [ANYBODY]
    return [default_gateway() if word == GATEWAY else _address(word) for word in words]


def default_gateway(routes: Path = _ROUTES) -> str:
    """Returns the next hop of the default route of IPv4. Raises ValueError if there is none."""
    try:
        lines = routes.read_text().splitlines()[1:]
    except OSError:
        lines = []
    gateway = next(_gateways(lines), None)
    if gateway is None:
        raise ValueError(f"{GATEWAY!r}: {_ROUTES} has no default route")
    return gateway


def _gateways(lines: Iterable[str]) -> Iterator[str]:
    """Yields the gateway of each default route: proc(5), hexadecimal in the byte order of the machine."""
    for line in lines:
        _, destination, gateway, flags, _, _, _, mask, *_ = line.split()
        if int(destination, 16) == 0 and int(mask, 16) == 0 and int(flags, 16) & _HAS_GATEWAY:
            yield str(ipaddress.IPv4Address(int(gateway, 16).to_bytes(4, sys.byteorder)))


def _address(word: str) -> str:
    try:
        ipaddress.ip_network(word)
    except ValueError as error:
        raise ValueError(f"{word!r} is neither an address nor a network, nor the word {GATEWAY}: {error}") from error
    return word
