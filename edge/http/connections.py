"""The connections of a server: at most so many, of which no client network takes those of the others.

At the limit a new one takes the place of one that waits for its client, of the network that has the most connections:
an idle one before one whose request is not complete, the one that has waited longest first. It never takes the place of
another network that has no more connections than its own. Connections on which a call is made are never closed.
"""

from collections import Counter
from collections.abc import Callable

from edge.http.client_network import client_network


class Connections:
    """Counts the connections of one server by client network."""

    def __init__(self, connections_max: int) -> None:
        self._connections_max = connections_max
        self._open: set[Place] = set()
        self._by_network: Counter[str] = Counter()
        self._idle: dict[Place, None] = {}
        self._sending: dict[Place, None] = {}

    def admit(self, address: str, close: Callable[[], None]) -> "Place | None":
        """Returns the place of a new connection from this address, None if there is none. `close` closes it."""
        network = client_network(address)
        if len(self._open) >= self._connections_max and not self._make_room(network):
            return None
        place = Place(self, network, close)
        self._open.add(place)
        self._by_network[place.network] += 1
        return place

    def mark(self, place: "Place", *, idle: bool = False, sending: bool = False) -> None:
        """Notes that a connection is idle, is being sent a request, or neither."""
        self._idle.pop(place, None)
        self._sending.pop(place, None)
        if place in self._open and (idle or sending):
            (self._idle if idle else self._sending)[place] = None

    def forget(self, place: "Place") -> None:
        """Frees a place. Again it changes nothing."""
        self.mark(place)
        if place in self._open:
            self._open.remove(place)
            self._by_network[place.network] -= 1
            if not self._by_network[place.network]:
                del self._by_network[place.network]

    def _make_room(self, network: str) -> bool:
        """Closes a connection that waits for its client, for one of this network; returns whether there was one."""

        def rank(place: Place) -> tuple[int, bool]:
            return self._by_network[place.network], place.network == network

        # The first of those with the highest rank: dictionaries keep the order in which they began to wait.
        victim = max((*self._idle, *self._sending), key=rank, default=None)
        if victim is None or rank(victim) <= (self._by_network[network], False):
            return False
        self.forget(victim)
        victim.close()
        return True


class Place:
    """The place of one connection."""

    __slots__ = ("_connections", "close", "network")

    def __init__(self, connections: Connections, network: str, close: Callable[[], None]) -> None:
        self._connections = connections
        self.network = network
        self.close = close

    def idle(self) -> None:
        """The connection waits for a request."""
        self._connections.mark(self, idle=True)

    def sending(self) -> None:
        """A request has begun, and is not complete."""
        self._connections.mark(self, sending=True)

    def busy(self) -> None:
        """The connection does not wait for its client alone."""
        self._connections.mark(self)

    def leave(self) -> None:
        """The connection is lost."""
        self._connections.forget(self)
