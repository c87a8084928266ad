"""Flow-control windows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.http2.windows import FIT_BYTES_MIN, WINDOW_BYTES, ReceiveWindow, WindowExceeded, widened


def test_more_than_the_window_is_a_fault() -> None:
    """A peer may use its window up, and not one byte more."""
    window = ReceiveWindow(100)
    window.receive(100)
    with pytest.raises(WindowExceeded):
        window.receive(1)


def test_a_slow_reader_bounds_what_is_unread() -> None:
    """The window bounds the unread bytes of a stream of any length."""
    window, room, unread = ReceiveWindow(100), 100, 0
    for _ in range(50):
        window.receive(room)
        unread += room
        assert unread <= 100
        unread -= 60
        room = window.take(60)


@given(st.lists(st.integers(1, 120), min_size=1, max_size=30))
def test_a_message_that_is_waited_for_fits(messages: list[int]) -> None:
    """A reader of one message at a time gets messages of any size: the peer always has window for the next."""
    window, room = ReceiveWindow(50), 50
    for size in messages:
        room += window.fit(size)
        assert room >= size
        window.receive(size)
        room += window.take(size) - size


def test_a_large_message_widens_the_window_only_for_itself() -> None:
    """When it has been read, no more may arrive unread than before."""
    window, room = ReceiveWindow(100), 100
    room += window.fit(100_000)
    window.receive(100_000)
    room += window.take(100_000) - 100_000
    unread = 0
    while room:
        window.receive(room)
        unread += room
        room = window.take(1)
        unread -= 1
    assert unread <= 100


def test_a_send_window_has_a_limit() -> None:
    """A window of more than 2^31-1 bytes is a fault (section 6.9.1)."""
    assert widened(10, -20) == -10
    assert widened(1, 2**31 - 2) == 2**31 - 1
    with pytest.raises(WindowExceeded):
        widened(2, 2**31 - 2)


def test_padding_buys_few_updates() -> None:
    """A peer that pads each byte of a message gets an update for 32 kB of padding, and not for each frame."""
    window, size, updates = ReceiveWindow(WINDOW_BYTES), 200_000, 0
    for received in range(size):
        updates += bool(window.fit(size - received))
        window.receive(2)
        updates += bool(window.take(1))
    assert updates <= 2 * size // FIT_BYTES_MIN + 2
