"""The key by which limits count the clients of the edge."""

from typing import Final

from mesh.client_network import client_network

ADDRESS_LENGTH_MAX: Final = 64
"""The maximum length of an address, with the zone of IPv6. A proxy may send longer text, which limits would store."""


def client_key(address: str) -> str:
    """Returns the network of a client's address, or the start of the text if a proxy named something else."""
    short = address[:ADDRESS_LENGTH_MAX]
    return client_network(short) or short
