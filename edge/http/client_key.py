"""Who counts as one client of the edge."""

from mesh.client_network import client_network as network_of


def client_network(address: str) -> str:
    """Returns the network of an address. What is no address, as a proxy may name a client, stands for itself."""
    return network_of(address) or address
