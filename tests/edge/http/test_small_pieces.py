"""Small pieces of a body."""

from collections.abc import AsyncGenerator

from edge.http.small_pieces import SMALL_BYTES_MAX, small_pieces
from tests.turns import turns_of_others

SIZES = (1, SMALL_BYTES_MAX, SMALL_BYTES_MAX + 1, 5 * SMALL_BYTES_MAX)


async def body() -> AsyncGenerator[bytes, None]:
    """Yields pieces of different sizes."""
    for size in SIZES:
        yield bytes([size % 251]) * size


async def test_others_have_their_turn_between_the_parts_of_a_piece() -> None:
    """The pieces are small, contain all bytes, and leave turns to other tasks."""
    async with turns_of_others() as turns:
        pieces = [piece async for piece in small_pieces(body())]
    assert [len(piece) for piece in pieces] == [1, SMALL_BYTES_MAX, SMALL_BYTES_MAX, 1, *[SMALL_BYTES_MAX] * 5]
    assert b"".join(pieces) == b"".join([piece async for piece in body()])
    assert turns.count == len(pieces) - len(SIZES)
