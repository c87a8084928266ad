"""The limit on connections: who makes room for whom."""

import pytest

from edge.http.connections import Connections, ConnectionSlot


class Closed(list[str]):
    """The connections that were closed, by name."""

    def opened(self, connections: Connections, address: str, name: str) -> ConnectionSlot | None:
        """Opens a connection."""
        return connections.admit(address, lambda: self.append(name))


def test_there_is_room_up_to_the_limit() -> None:
    """One that is lost makes room for another."""
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


def test_the_one_with_the_most_makes_room() -> None:
    """Whoever comes: a flood from one address takes no connection of another."""
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
    """All addresses of a /64 are somebody's."""
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
def test_those_that_wait_for_their_client_go_first(states: list[str], expected: str | None) -> None:
    """The idle ones, then those that are being sent a request; never one on which a call is made."""
    connections, closed = Connections(2), Closed()
    for number, state in enumerate(states):
        slot = closed.opened(connections, "192.0.2.1", str(number))
        assert slot is not None
        getattr(slot, f"mark_{state}")()
    admitted = closed.opened(connections, "192.0.2.1", "new")
    assert (closed, admitted is not None) == ([expected] if expected else [], expected is not None)


@pytest.mark.parametrize("state", ["receiving", "busy"])
def test_a_flood_takes_no_idle_connection_of_another_client(state: str) -> None:
    """Whatever its connections do: the network that has the most comes before the state."""
    connections, closed = Connections(6), Closed()
    for address, name in (("192.0.2.1", "visitor"), ("192.0.2.2", "visitor")):
        slot = closed.opened(connections, address, name)
        assert slot is not None
        slot.mark_idle()
    for _ in range(9):
        if (slot := closed.opened(connections, "192.0.2.9", "flood")) is not None:
            getattr(slot, f"mark_{state}")()
    assert closed == (["flood"] * 5 if state == "receiving" else [])


def test_a_newcomer_takes_the_place_of_one_who_has_as_few() -> None:
    """The one that has waited longest; a second connection of the same client does not."""
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
