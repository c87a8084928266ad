"""Addresses of upstreams."""

import pytest

from edge.call.address import Address


@pytest.mark.parametrize(
    ("text", "address", "target"),
    [
        ("localhost:9000", Address("localhost", 9000), "localhost:9000"),
        ("http://orders_1.shop:80", Address("orders_1.shop", 80), "orders_1.shop:80"),
        ("http://orders", Address("orders", 80), "orders:80"),
        ("https://orders.example.com", Address("orders.example.com", 443, secure=True), "orders.example.com:443"),
        ("https://10.0.0.1:8443/", Address("10.0.0.1", 8443, secure=True), "10.0.0.1:8443"),
        ("[::1]:9000", Address("::1", 9000), "[::1]:9000"),
        ("https://[2001:db8::1]", Address("2001:db8::1", 443, secure=True), "[2001:db8::1]:443"),
    ],
)
def test_an_address_is_parsed(text: str, address: Address, target: str) -> None:
    """An address is a name or an IP address, with an optional scheme, which implies its port."""
    assert Address.parse(text) == address
    assert (address.target, str(address)) == (target, f"https://{target}" if address.secure else target)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("localhost", "is not host:port"),
        (":9000", "is not host:port"),
        ("local host:9000", "is not host:port"),
        ("::1:9000", "is not host:port"),
        ("user@host:9000", "is not host:port"),
        ("https://host/path", "is not host:port"),
        ("https://host:9000/path", "has no port"),
        ("host:0", "has no port from 1 to 65535"),
        ("host:65536", "has no port from 1 to 65535"),
        ("host:٣", "has no port from 1 to 65535"),
        ("dns://host:9000", "dns:// is neither http:// nor https://"),
    ],
)
def test_an_invalid_address_raises(text: str, why: str) -> None:
    """The message names the part that is missing or invalid."""
    with pytest.raises(ValueError, match=why):
        Address.parse(text)
