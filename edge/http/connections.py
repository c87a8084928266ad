"""The limit on the connections of a server, with a fair share for each client network.

At the limit a new connection takes the slot of a connection that waits for its client, from the network with the most
connections: an idle one before one whose request is incomplete, and the longest waiting first. It never takes the slot
of another network that has no more connections than its own. Connections in use by a call are never closed.
"""

from collections import Counter
from collections.abc import Callable

from edge.http.client_key import client_key


class Connections:
    """The connections of one server, counted by client network."""

    def __init__(self, connections_max: int) -> None:
        self._connections_max = connections_max
        self._open: set[ConnectionSlot] = set()
        self._by_network: Counter[str] = Counter()
        self._idle: dict[ConnectionSlot, None] = {}
        self._receiving: dict[ConnectionSlot, None] = {}

    def admit(self, address: str, close: Callable[[], None]) -> "ConnectionSlot | None":
        """Returns a slot for a new connection, or None if there is none. `close` closes the connection."""
        network = client_key(address)
        if len(self._open) >= self._connections_max and not self._make_room(network):
            return None
        slot = ConnectionSlot(self, network, close)
        self._open.add(slot)
        self._by_network[slot.network] += 1
        return slot

    def mark(self, slot: "ConnectionSlot", *, idle: bool = False, receiving: bool = False) -> None:
        """Marks a connection as idle, as receiving a request, or as neither."""
        self._idle.pop(slot, None)
        self._receiving.pop(slot, None)
        if slot in self._open and (idle or receiving):
            (self._idle if idle else self._receiving)[slot] = None

    def release(self, slot: "ConnectionSlot") -> None:
        """Frees a slot, unless it has been freed before."""
        self.mark(slot)
        if slot in self._open:
            self._open.remove(slot)
            self._by_network[slot.network] -= 1
            if not self._by_network[slot.network]:
                del self._by_network[slot.network]

    def _make_room(self, network: str) -> bool:
        """Closes a connection that waits for its client, in favour of a network. Returns whether there was one."""

        def rank(slot: ConnectionSlot) -> tuple[int, bool]:
            return self._by_network[slot.network], slot.network == network

        # max() returns the first of the highest rank, and dictionaries keep the order in which they began to wait.
        victim = max((*self._idle, *self._receiving), key=rank, default=None)
        if victim is None or rank(victim) <= (self._by_network[network], False):
            return False
        self.release(victim)
        victim.close()
        return True


class ConnectionSlot:
    """The slot of one connection."""

    __slots__ = ("_connections", "close", "network")

    def __init__(self, connections: Connections, network: str, close: Callable[[], None]) -> None:
        self._connections = connections
        self.network = network
        self.close = close

    def mark_idle(self) -> None:
        """Marks the connection as waiting for a request."""
        self._connections.mark(self, idle=True)

    def mark_receiving(self) -> None:
        """Marks the connection as receiving an incomplete request."""
        self._connections.mark(self, receiving=True)

    def mark_busy(self) -> None:
        """Marks the connection as in use, so that it is not closed for another."""
        self._connections.mark(self)

    def release(self) -> None:
        """Frees the slot."""
        self._connections.release(self)
