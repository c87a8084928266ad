"""Whose X-Forwarded-For names the client."""

import ipaddress
import sys
from pathlib import Path

import pytest

from edge.http.proxies import default_gateway, resolve_trusted

HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def route(destination: str, gateway: str, flags: int, mask: str) -> str:
    """A line of the table, which has addresses in the byte order of the machine."""
    to, by, of = (
        f"{int.from_bytes(ipaddress.IPv4Address(address).packed, sys.byteorder):08X}"
        for address in (destination, gateway, mask)
    )
    return f"eth0\t{to}\t{by}\t{flags:04}\t0\t0\t0\t{of}\t0\t0\t0\n"


LOCAL = route("172.18.0.0", "0.0.0.0", 1, "255.255.0.0")
DEFAULT = route("0.0.0.0", "172.18.0.1", 3, "0.0.0.0")


def test_the_gateway_is_that_of_the_default_route(tmp_path: Path) -> None:
    """As a container on a bridge sees it."""
    routes = tmp_path / "route"
    routes.write_text(HEADER + LOCAL + DEFAULT)
    assert default_gateway(routes) == "172.18.0.1"


@pytest.mark.parametrize("text", ["", HEADER, HEADER + LOCAL])
def test_without_a_default_route_there_is_no_gateway(tmp_path: Path, text: str) -> None:
    """It is an error, not a silence."""
    routes = tmp_path / "route"
    routes.write_text(text)
    with pytest.raises(ValueError, match="no default route"):
        default_gateway(routes)
    with pytest.raises(ValueError, match="no default route"):
        default_gateway(tmp_path / "missing")


def test_addresses_and_networks_are_taken() -> None:
    """Of both families; the star stands for everybody, alone."""
    words = ["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"]
    assert resolve_trusted(words) == words
    assert resolve_trusted(["*"]) == ["*"]
    assert resolve_trusted([]) == []


@pytest.mark.parametrize("word", ["ingress", "10.0.0", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.1:80", "*", "$(POD_IPS)"])
def test_what_is_no_address_is_refused(word: str) -> None:
    """It would match nobody, and every client would count as its proxy."""
    with pytest.raises(ValueError, match="is neither an address nor a network"):
        resolve_trusted(["10.0.0.1", word])
