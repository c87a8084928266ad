"""The key by which limits count the clients of the edge."""

from mesh.client_network import client_network


def client_key(address: str) -> str:
    """Returns the network of a client's address, or the text itself if a proxy named something else."""
    return client_network(address) or address
