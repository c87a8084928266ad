"""Whose X-Forwarded-For names the client."""

import sys
from pathlib import Path

import pytest

from edge.proxies import default_gateway, trusted

HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
LOCAL = "eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
DEFAULT = "eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"


@pytest.mark.skipif(sys.byteorder != "little", reason="the table is written in the byte order of the machine")
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
    assert trusted(words) == words
    assert trusted(["*"]) == ["*"]
    assert trusted([]) == []


@pytest.mark.parametrize("word", ["ingress", "10.0.0", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.1:80", "*", "$(POD_IPS)"])
def test_what_is_no_address_is_refused(word: str) -> None:
    """It would match nobody, and every client would count as its proxy."""
    with pytest.raises(ValueError, match="is neither an address nor a network"):
        trusted(["10.0.0.1", word])
