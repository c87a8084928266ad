"""The addresses that webhooks may be sent to."""

import ipaddress

import pytest

from services.notifications.domain.reachable_addresses import ReachableAddresses

PUBLIC = ["93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e"]
OTHERS = {
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1"],
    "link-local": ["169.254.169.254", "fe80::1", "fe80::1%eth0", "fec0::1"],
    "shared": ["100.64.0.1", "100.127.255.255"],
    "multicast": ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"],
    "mapped": ["::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1", "::127.0.0.1"],
    "translated": ["64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1"],
    "tunnelled": ["2002:7f00:1::", "2002:a00:1::1", "2001:0:7f00:1::1"],
    "documentation": ["2001:db8::1"],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reachable(address: str) -> None:
    """Of both versions of IP."""
    assert ipaddress.ip_address(address) in ReachableAddresses()


@pytest.mark.parametrize(("kind", "address"), [(kind, each) for kind, group in OTHERS.items() for each in group])
def test_no_other_address_is_reachable(kind: str, address: str) -> None:
    """Neither our own machine and networks, nor what stands for such an address."""
    assert ipaddress.ip_address(address) not in ReachableAddresses()


def test_an_allowed_network_is_reachable() -> None:
    """Only that network is, and only in its version of IP."""
    reachable = ReachableAddresses([ipaddress.ip_network("10.20.0.0/16"), ipaddress.ip_network("fd00::/8")])
    for address, expected in [("10.20.3.4", True), ("10.21.0.1", False), ("fd01::1", True), ("fc00::1", False)]:
        assert (ipaddress.ip_address(address) in reachable) is expected
    assert ipaddress.ip_address("::ffff:10.20.3.4") not in reachable
