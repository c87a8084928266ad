"""The limit on the connections of a server, with a fair share for each client network.

At the limit a new connection takes the slot of a connection that waits for its client, from the network with the most
connections (its own among equals): an idle one before one whose request is incomplete, and the longest waiting first.
It never takes the slot of another network that has no more connections than its own. Connections in use by a call are
never closed.

The cost of a connection and of a request is logarithmic in the number of networks, amortised.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from typing import Final

from edge.http.client_key import client_key

_QUEUE_MIN: Final = 64

Rank = tuple[int, bool, int]
"""The negative number of a network's connections, whether none is idle, and when the longest waiting began to wait."""


class Connections:
    """The connections of one server, counted by client network."""

    def __init__(self, connections_max: int) -> None:
        self._connections_max = connections_max
        self._count = 0
        self._networks: dict[str, _Network] = {}
        self._clock = count()
        # Each network with a waiting connection is in the queue with its rank or a lower one, which is corrected when
        # the network comes first, because most requests change the rank and few connections are closed.
        self._queue: list[tuple[Rank, _Network]] = []

    def admit(self, address: str, close: Callable[[], None]) -> "ConnectionSlot | None":
        """Returns a slot for a new connection, or None if there is none. `close` closes the connection."""
        name = client_key(address)
        if self._count >= self._connections_max and not self._make_room(self._networks.get(name)):
            return None
        network = self._networks.get(name)
        if network is None:
            network = self._networks[name] = _Network(name)
        self._count += 1
        network.count += 1
        self._enqueue(network)
        return ConnectionSlot(self, network, close)

    def mark(self, slot: "ConnectionSlot", *, idle: bool = False, receiving: bool = False) -> None:
        """Marks a connection as idle, as receiving a request, or as neither."""
        network = slot.network
        network.idle.pop(slot, None)
        network.receiving.pop(slot, None)
        if slot.is_open and (idle or receiving):
            (network.idle if idle else network.receiving)[slot] = next(self._clock)
            self._enqueue(network)

    def release(self, slot: "ConnectionSlot") -> None:
        """Frees a slot, unless it has been freed before."""
        self.mark(slot)
        if slot.is_open:
            slot.is_open = False
            self._count -= 1
            slot.network.count -= 1
            if not slot.network.count:
                del self._networks[slot.network.name]

    def _make_room(self, own: "_Network | None") -> bool:
        """Closes a connection that waits for its client, in favour of a network. Returns whether there was one."""
        largest = self._largest()
        if largest is None:
            return False
        if own is not None and own.count >= largest.count:
            if own.rank() is None:
                return False
            largest = own
        victim = largest.longest_waiting()
        self.release(victim)
        victim.close()
        return True

    def _largest(self) -> "_Network | None":
        """Returns the first network by rank, None if no connection waits."""
        while self._queue:
            rank, network = self._queue[0]
            if rank == network.queued == network.rank():
                return network
            heapq.heappop(self._queue)
            if rank == network.queued:
                network.queued = None
                self._enqueue(network)
        return None

    def _enqueue(self, network: "_Network") -> None:
        """Adds a network to the queue, unless it waits for nobody or is there with this rank or a lower one."""
        rank = network.rank()
        if rank is None or (network.queued is not None and network.queued <= rank):
            return
        if len(self._queue) > max(_QUEUE_MIN, 2 * len(self._networks)):
            self._remove_outdated()
        network.queued = rank
        heapq.heappush(self._queue, (rank, network))

    def _remove_outdated(self) -> None:
        """Removes the entries of networks that are gone or have a newer entry."""
        self._queue = []
        for network in self._networks.values():
            network.queued = network.rank()
            if network.queued is not None:
                self._queue.append((network.queued, network))
        heapq.heapify(self._queue)


class _Network:
    """The connections of one client network. `queued` is its rank in the queue, None if it is not there."""

    __slots__ = ("count", "idle", "name", "queued", "receiving")

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.idle: OrderedDict[ConnectionSlot, int] = OrderedDict()
        self.receiving: OrderedDict[ConnectionSlot, int] = OrderedDict()
        self.queued: Rank | None = None

    def rank(self) -> Rank | None:
        """Returns the rank, which is the lowest for the network that gives a slot, or None if no connection waits."""
        waiting = self.idle or self.receiving
        return (-self.count, not self.idle, next(iter(waiting.values()))) if waiting else None

    def longest_waiting(self) -> "ConnectionSlot":
        """Returns the connection that gives its slot; at least one waits."""
        return next(iter(self.idle or self.receiving))


class ConnectionSlot:
    """The slot of one connection."""

    __slots__ = ("_connections", "close", "is_open", "network")

    def __init__(self, connections: Connections, network: _Network, close: Callable[[], None]) -> None:
        self._connections = connections
        self.network = network
        self.close = close
        self.is_open = True

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
