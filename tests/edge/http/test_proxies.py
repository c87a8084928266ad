"""The addresses of trusted proxies."""

import ipaddress
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.contract.contract import Contract
from edge.http.client_key import ADDRESS_LENGTH_MAX, client_key
from edge.http.proxies import default_gateway, resolve_trusted
from mesh.rpc import CLIENT_ADDRESS
from tests.edge.backend import Backend
from tests.edge.served import Client, edge_of

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


SELF = "127.0.0.1"
CLIENT = "203.0.113.5"
ATTACKER = "6.6.6.6"


@pytest.fixture(scope="module")
async def behind(library: Contract, _shared_backend: Backend) -> AsyncIterator[Client]:
    """Returns a client of an edge that trusts the client and two networks."""
    proxies = f"{SELF} 10.0.0.0/8 fd00::/8"
    async with edge_of(library, _shared_backend.port, trusted_proxies=proxies) as client:
        yield client


async def address_of(client: Client, backend: Backend, headers: list[str]) -> str:
    """Returns the address that the service receives for a request with these X-Forwarded-For headers."""
    sent = [(b"x-forwarded-for", header.encode("latin-1")) for header in headers]
    assert (await client.get("/v1/shelves/a/books/b", headers=sent)).status_code == 200
    address = backend.calls[-1].metadata.get(CLIENT_ADDRESS, "")
    assert isinstance(address, str)
    return address


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], SELF),
        ([""], SELF),
        ([CLIENT], CLIENT),
        ([f"{ATTACKER} ,\t {CLIENT}  ,10.0.0.1"], CLIENT),
        # A client's own entries come before the address that the first trusted proxy adds.
        ([f"{ATTACKER}, {CLIENT}"], CLIENT),
        ([f"10.0.0.9, {CLIENT}"], CLIENT),
        ([f"{SELF},{CLIENT}"], CLIENT),
        # Trusted proxies are passed over from the end, up to the first address that is not one.
        ([f"{CLIENT}, 10.0.0.1"], CLIENT),
        ([f"{CLIENT}, 10.0.0.1, fd00::1"], CLIENT),
        ([f"{ATTACKER}, 10.0.0.1, {CLIENT}, 10.0.0.2"], CLIENT),
        ([f"{ATTACKER}, {CLIENT}, 10.0.0.2"], CLIENT),
        # A request from a trusted proxy itself has the first of the chain.
        (["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
        # Several headers are one list in their order (RFC 9110, section 5.3).
        ([ATTACKER, CLIENT], CLIENT),
        ([CLIENT, "10.0.0.1"], CLIENT),
        ([CLIENT, ""], SELF),
        # Ports, and the brackets of IPv6 with them, are removed, also from proxies.
        ([f"{CLIENT}:4711"], CLIENT),
        ([f"{CLIENT}, 10.0.0.1:80"], CLIENT),
        (["2001:db8::5"], "2001:db8::5"),
        (["[2001:db8::5]"], "2001:db8::5"),
        (["[2001:db8::5]:4711"], "2001:db8::5"),
        (["2001:db8::5, [fd00::1]:80"], "2001:db8::5"),
        (["2001:0DB8:0:0::5, FD00:0::1"], "2001:0DB8:0:0::5"),
        # If a trusted proxy adds text that is no address, all such clients count as one.
        (["unknown"], "unknown"),
        ([f"{ATTACKER}, unknown"], "unknown"),
        ([f"{ATTACKER}, unknown, 10.0.0.1"], "unknown"),
        ([f"{ATTACKER},"], SELF),
        ([f"{ATTACKER}, , 10.0.0.1"], SELF),
        (["203.0.113.5:abc"], "203.0.113.5:abc"),
        (["[2001:db8::5"], "[2001:db8::5"),
        (['"203.0.113.5"'], '"203.0.113.5"'),
        (["for=203.0.113.5"], "for=203.0.113.5"),
        (["10.0.0.1/8"], "10.0.0.1/8"),
        (["x" * 20_000], "x" * ADDRESS_LENGTH_MAX),
    ],
)
async def test_the_client_is_the_last_address_that_is_no_trusted_proxy(
    behind: Client, backend: Backend, headers: list[str], expected: str
) -> None:
    """The client's address in each chain of proxies, as the service receives it."""
    assert await address_of(behind, backend, headers) == expected


@pytest.mark.parametrize(("proxies", "expected"), [("", SELF), ("10.0.0.0/8", SELF), ("*", ATTACKER)])
async def test_only_a_trusted_connection_names_the_client(
    library: Contract, backend: Backend, proxies: str, expected: str
) -> None:
    """The header of an untrusted address is ignored; an edge that trusts all takes the first address in the header."""
    async with edge_of(library, backend.port, trusted_proxies=proxies) as client:
        assert await address_of(client, backend, [f"{ATTACKER}, {CLIENT}"]) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::5", "2001:0DB8:0:0::5"),
        ("2001:db8::5", "2001:db8::6"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("fe80::1%eth0", "fe80::1%eth1"),
        ("x" * ADDRESS_LENGTH_MAX + "a", "x" * ADDRESS_LENGTH_MAX + "b"),
    ],
)
def test_one_client_has_one_key(one: str, other: str) -> None:
    """Addresses that are spelled differently, or of one IPv6 network, count as one client; so does endless text."""
    assert client_key(one) == client_key(other)
