"""The addresses of trusted proxies."""

import ipaddress
import sys
from pathlib import Path

import pytest

from edge.http.proxies import default_gateway, resolve_trusted

HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def route(destination: str, gateway: str, flags: int, mask: str) -> str:
    """Returns a line of the routing table, which has addresses in the byte order of the machine."""
    to, by, of = (
        f"{int.from_bytes(ipaddress.IPv4Address(address).packed, sys.byteorder):08X}"
        for address in (destination, gateway, mask)
    )
    return f"eth0\t{to}\t{by}\t{flags:04}\t0\t0\t0\t{of}\t0\t0\t0\n"


LOCAL = route("172.18.0.0", "0.0.0.0", 1, "255.255.0.0")
DEFAULT = route("0.0.0.0", "172.18.0.1", 3, "0.0.0.0")


def test_the_gateway_is_that_of_the_default_route(tmp_path: Path) -> None:
    """The gateway is read from the default route, as in a container on a bridge."""
    routes = tmp_path / "route"
    routes.write_text(HEADER + LOCAL + DEFAULT)
    assert default_gateway(routes) == "172.18.0.1"


@pytest.mark.parametrize("text", ["", HEADER, HEADER + LOCAL])
def test_a_missing_default_route_raises(tmp_path: Path, text: str) -> None:
    """A routing table without a default route raises ValueError."""
    routes = tmp_path / "route"
    routes.write_text(text)
    with pytest.raises(ValueError, match="no default route"):
        default_gateway(routes)
    with pytest.raises(ValueError, match="no default route"):
        default_gateway(tmp_path / "missing")


def test_addresses_and_networks_are_accepted() -> None:
    """Addresses and networks of IPv4 and IPv6 are accepted, and a single asterisk for all."""
    words = ["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"]
    assert resolve_trusted(words) == words
    assert resolve_trusted(["*"]) == ["*"]
    assert resolve_trusted([]) == []


@pytest.mark.parametrize("word", ["ingress", "10.0.0", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.1:80", "*", "$(POD_IPS)"])
def test_other_words_are_rejected(word: str) -> None:
    """Another word raises, because it would match no proxy, and all clients would count as one."""
    with pytest.raises(ValueError, match="is neither an address nor a network"):
        resolve_trusted(["10.0.0.1", word])
