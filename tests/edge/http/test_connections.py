"""The limit on connections, and the choice of the connection to close."""

import random
import sys
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from edge.http.connections import Connections, ConnectionSlot


class Closed(list[str]):
    """The names of the connections that were closed."""

    def opened(self, connections: Connections, address: str, name: str) -> ConnectionSlot | None:
        """Opens a connection."""
        return connections.admit(address, lambda: self.append(name))


def test_connections_are_admitted_up_to_the_limit() -> None:
    """A released slot is free for another connection, but only once."""
    connections, closed = Connections(2), Closed()
    first, second = (closed.opened(connections, "192.0.2.1", name) for name in "ab")
    assert first is not None
    assert second is not None
    assert closed.opened(connections, "192.0.2.1", "c") is None
    first.release()
    first.release()
    assert closed.opened(connections, "192.0.2.1", "c") is not None
    assert closed.opened(connections, "192.0.2.1", "d") is None
    assert closed == []


def test_the_network_with_the_most_connections_gives_a_slot() -> None:
    """A flood from one address loses its own connections, whoever needs a slot."""
    connections, closed = Connections(4), Closed()
    for address, name in (("192.0.2.1", "visitor"), *(("192.0.2.9", f"flood {number}") for number in range(9))):
        slot = closed.opened(connections, address, name)
        assert slot is not None
        slot.mark_idle()
    assert closed == [f"flood {number}" for number in range(6)]
    slot = closed.opened(connections, "192.0.2.2", "another visitor")
    assert slot is not None
    assert closed[-1] == "flood 6"


def test_networks_of_ipv6_count_as_one_client() -> None:
    """All addresses of a /64 count as one client."""
    connections, closed = Connections(3), Closed()
    for address in ("2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:2::1"):
        slot = closed.opened(connections, address, address)
        assert slot is not None
        slot.mark_idle()
    assert closed == ["2001:db8:0:1::1"]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["idle", "receiving"], "0"),
        (["receiving", "idle"], "1"),
        (["receiving", "receiving"], "0"),
        (["busy", "receiving"], "1"),
        (["busy", "idle"], "1"),
        (["busy", "busy"], None),
    ],
)
def test_waiting_connections_are_closed_first(states: list[str], expected: str | None) -> None:
    """Idle connections are closed first, then those with an incomplete request, but never one in use by a call."""
    connections, closed = Connections(2), Closed()
    for number, state in enumerate(states):
        slot = closed.opened(connections, "192.0.2.1", str(number))
        assert slot is not None
        getattr(slot, f"mark_{state}")()
    admitted = closed.opened(connections, "192.0.2.1", "new")
    assert (closed, admitted is not None) == ([expected] if expected else [], expected is not None)


@pytest.mark.parametrize("state", ["receiving", "busy"])
def test_a_flood_takes_no_idle_connection_of_another_client(state: str) -> None:
    """The network with the most connections is chosen before the state of a connection matters."""
    connections, closed = Connections(6), Closed()
    for address, name in (("192.0.2.1", "visitor"), ("192.0.2.2", "visitor")):
        slot = closed.opened(connections, address, name)
        assert slot is not None
        slot.mark_idle()
    for _ in range(9):
        if (slot := closed.opened(connections, "192.0.2.9", "flood")) is not None:
            getattr(slot, f"mark_{state}")()
    assert closed == (["flood"] * 5 if state == "receiving" else [])


def test_a_new_client_takes_a_slot_of_an_equal() -> None:
    """A client's first connection replaces the longest waiting one of an equal client, but its second does not."""
    connections, closed = Connections(2), Closed()
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        slot = closed.opened(connections, address, address)
        assert slot is not None
        slot.mark_idle()
    assert closed == ["192.0.2.1"]
    assert slot is not None
    slot.mark_busy()
    assert closed.opened(connections, "192.0.2.3", "second") is None
    assert closed == ["192.0.2.1"]


class Open:
    """One open connection of the model of test_the_policy_holds_in_any_order()."""

    def __init__(self, name: str, network: str) -> None:
        self.name = name
        self.network = network
        self.state = "busy"
        self.since = 0


def gives_way(connections: list[Open], network: str) -> Open | None:
    """Returns the connection that the policy closes for one of a network, by looking at all of them."""
    counts = {each.network: sum(other.network == each.network for other in connections) for each in connections}

    def rank(each: Open) -> tuple[int, bool, bool, int]:
        return -counts[each.network], each.network != network, each.state != "idle", each.since

    victim = min((each for each in connections if each.state != "busy"), key=rank, default=None)
    own = counts.get(network, 0)
    if victim is None or counts[victim.network] < own or (counts[victim.network] == own and victim.network != network):
        return None
    return victim


@pytest.mark.parametrize("networks", [1, 2, 4, 40])
@pytest.mark.parametrize("seed", range(5))
def test_the_policy_holds_in_any_order(seed: int, networks: int) -> None:
    """After any changes, the connection that is closed is the one that the policy names."""
    pick, clock = random.Random(seed), count()
    connections, closed = Connections(12), Closed()
    model: list[Open] = []
    slots: dict[str, ConnectionSlot] = {}
    for number in range(3000):
        if pick.random() < 0.4:
            network, name = f"192.0.2.{pick.randrange(networks)}", str(number)
            is_full = len(model) == 12
            victim = gives_way(model, network) if is_full else None
            closed.clear()
            slot = closed.opened(connections, network, name)
            assert closed == ([victim.name] if victim else [])
            assert (slot is None) is (is_full and victim is None)
            if victim is not None:
                model.remove(victim)
            if slot is not None:
                slots[name] = slot
                model.append(Open(name, network))
        elif model:
            each = pick.choice(model)
            if pick.random() < 0.1:
                slots[each.name].release()
                model.remove(each)
                continue
            each.state, each.since = pick.choice(["idle", "receiving", "busy"]), next(clock)
            getattr(slots[each.name], f"mark_{each.state}")()


def function_calls(work: Iterator[None]) -> int:
    """Returns how many functions are called to exhaust an iterator."""
    calls = 0

    def record(_frame: object, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(record)
    try:
        for _ in work:
            pass
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("networks", [1, 100])
def test_the_cost_of_a_slot_does_not_depend_on_the_number(networks: int) -> None:
    """A flood at a limit of 3,000 costs no more than at 300, and requests of the others in between neither."""

    def flood(connections_max: int) -> Iterator[None]:
        connections = Connections(connections_max)
        slots = [connections.admit(f"192.0.2.{number % networks}", lambda: None) for number in range(connections_max)]
        for slot in slots:
            assert slot is not None
            slot.mark_idle()
        yield
        for number in range(1000):
            new = connections.admit(f"192.0.2.{number % networks}", lambda: None)
            assert new is not None
            new.mark_receiving()
            new.mark_busy()
            new.mark_idle()
            yield

    few, many = flood(300), flood(3000)
    next(few), next(many)
    assert function_calls(many) < 2 * function_calls(few)
