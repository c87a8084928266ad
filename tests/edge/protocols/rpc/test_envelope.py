"""Envelopes and base64 in bodies, however these are split."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncGenerator

from hypothesis import given
from hypothesis import strategies as st

from edge.http.held_bytes import HeldBytes
from edge.http.small_pieces import SMALL_BYTES_MAX
from edge.http.whole_body import BodyLimits
from edge.protocols.grpc_web.base64_text import decode_base64
from edge.protocols.rpc.envelope import read_envelopes, write_envelope
from mesh.errors import MeshError

LIMITS = BodyLimits(size_bytes_max=50, timeout_s=10.0)
CUTS = st.lists(st.integers(0, 200), max_size=10)


async def _cut(body: bytes, cuts: list[int]) -> AsyncGenerator[bytes, None]:
    at = 0
    for end in [*sorted(cuts), len(body)]:
        if piece := body[at:end]:
            yield piece
            at = end


async def _envelopes(body: bytes, cuts: list[int]) -> list[tuple[int, bytes]]:
    return [each async for each in read_envelopes(_cut(body, cuts), LIMITS, HeldBytes.unlimited().of(""))]


async def _decoded(text: bytes, cuts: list[int]) -> bytes:
    return b"".join([piece async for piece in decode_base64(_cut(text, cuts))])


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=50)), max_size=5), CUTS)
def test_pieces_do_not_matter(envelopes: list[tuple[int, bytes]], cuts: list[int]) -> None:
    """Envelopes are read as they were written, however the body is split."""
    body = b"".join(write_envelope(content, flags) for flags, content in envelopes)
    assert asyncio.run(_envelopes(body, cuts)) == envelopes


@given(st.binary(max_size=200), CUTS)
def test_any_bytes_are_envelopes_or_an_error(body: bytes, cuts: list[int]) -> None:
    """Any bytes result in envelopes or in an error of the client."""
    with contextlib.suppress(MeshError):
        found = asyncio.run(_envelopes(body, cuts))
        assert b"".join(write_envelope(content, flags) for flags, content in found) == body


@given(st.lists(st.binary(max_size=20), max_size=5), CUTS)
def test_chunks_of_base64_may_end_anywhere(chunks: list[bytes], cuts: list[int]) -> None:
    """Each chunk has its own padding."""
    text = b"".join(base64.b64encode(chunk) for chunk in chunks)
    assert asyncio.run(_decoded(text, cuts)) == b"".join(chunks)


async def test_base64_is_decoded_in_small_pieces() -> None:
    """A large piece, which may be of a compressed body, leaves turns to others, because each chunk takes a step."""
    decoded = [len(piece) async for piece in decode_base64(_cut(b"AA==" * 100_000, []))]
    assert (max(decoded), sum(decoded)) == (SMALL_BYTES_MAX // 4, 100_000)


@given(st.text("AB=+ !", max_size=20).map(str.encode), CUTS)
def test_any_text_is_base64_or_an_error(text: bytes, cuts: list[int]) -> None:
    """The error is the same however the text is split."""
    results = []
    for each in ([], cuts):
        try:
            results.append(asyncio.run(_decoded(text, each)))
        except MeshError as error:
            results.append(error.message.encode())
    assert results[0] == results[1]
