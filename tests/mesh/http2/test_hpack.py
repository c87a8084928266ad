"""HPACK, with and without a dynamic table, beside the library hpack."""

import contextlib

import hpack as library
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.http2 import hpack, huffman
from mesh.http2.client.response_head import FieldsReader
from mesh.http2.faults import ConnectionFault, ErrorCode, StreamFault

FIELDS = st.lists(
    st.tuples(st.binary(min_size=1, max_size=40), st.binary(max_size=300)) | st.sampled_from(hpack._STATIC_TABLE),
    max_size=12,
)
LIMIT = 1_000_000


def encoded(fields: list[hpack.Field], *, huffman: bool) -> bytes:
    """Returns a block of the library's encoder, for a peer whose table has size 0."""
    encoder = library.Encoder()
    encoder.header_table_size = 0
    block: bytes = encoder.encode(fields, huffman=huffman)
    return block


@given(FIELDS, st.booleans())
def test_what_others_encode_is_decoded(fields: list[hpack.Field], is_huffman: bool) -> None:
    """Blocks of an encoder that has set its table to our size are decoded: indexed, literal, Huffman and plain."""
    assert hpack.Decoder(0).decode(encoded(fields, huffman=is_huffman), LIMIT) == fields


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=200), st.binary(max_size=20_000)), max_size=3))
def test_what_we_encode_others_decode(fields: list[hpack.Field]) -> None:
    """The library decodes our literals of any length."""
    block = b"".join(hpack.encode_name(name) + hpack.encode_string(value) for name, value in fields)
    decoder = library.Decoder(max_header_list_size=LIMIT)
    assert [(name, value) for name, value in decoder.decode(block, raw=True)] == fields


def test_credentials_are_never_indexed() -> None:
    """Proxies must not compress them either (RFC 7541, section 7.1.3)."""
    (field,) = library.Decoder().decode(
        hpack.encode_name(b"authorization", never_indexed=True) + hpack.encode_string(b"Bearer x"), raw=True
    )
    assert isinstance(field, library.NeverIndexedHeaderTuple)


@given(st.binary(max_size=300))
def test_any_bytes_are_fields_or_a_fault(block: bytes) -> None:
    """Nothing else is raised."""
    with contextlib.suppress(ConnectionFault):
        assert sum(len(name) + len(value) for name, value in hpack.Decoder(0).decode(block, LIMIT)) <= LIMIT


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # the index 0: section 6.1
        b"\xbe",  # the index 62, the first one of the dynamic table
        b"\x7e\x01x",  # a name in the dynamic table
        b"\x3f\xe1\x1f",  # a table of 4096 bytes: section 6.3
        b"\x20\x20\x20",  # a third size update: section 4.2
        b"\x88\x20",  # a size update after a field: section 4.2
        b"\xff\xff\xff\xff\xff\xff\xff\x01",  # an integer of too many bytes: section 5.1
        b"\x00\x05ab",  # a name beyond the end
        b"\x00\x01a",  # no value
        b"\x00\x01a\x84\xff\xff\xff\xff",  # the end-of-string symbol: section 5.2
        b"\x00\x01a\x81\x18",  # padding of zeros
        b"\x00\x01a\x82\x1f\xff",  # a byte of padding
    ],
)
def test_malformed_blocks_are_faults(block: bytes) -> None:
    """A decoding error ends the connection (RFC 9113, section 4.3)."""
    with pytest.raises(ConnectionFault) as caught:
        hpack.Decoder(0).decode(block, LIMIT)
    assert caught.value.code == ErrorCode.COMPRESSION_ERROR


def test_an_update_to_the_size_that_we_have_is_allowed() -> None:
    """An encoder must send an update when it sets its table to our size."""
    assert hpack.Decoder(0).decode(b"\x20\x88", LIMIT) == [(b":status", b"200")]


def test_a_small_block_of_many_fields_is_refused() -> None:
    """A list that would be too large is not built, however small its block is."""
    block = b"\x88" * 10_000
    with pytest.raises(StreamFault):
        hpack.Decoder(0).decode(block, 16_384)
    assert len(hpack.Decoder(0).decode(block[:100], 16_384)) == 100


def test_a_block_larger_than_the_list_is_not_decoded() -> None:
    """A block with more bytes than a list may have ends its stream without being decoded, which would cost time."""
    with pytest.raises(StreamFault):
        hpack.Decoder(0).decode(b"\xbe" * 16_385, 16_384)
    with pytest.raises(ConnectionFault):
        hpack.Decoder(0).decode(b"\xbe" * 16_384, 16_384)


def test_short_blocks_are_kept_if_they_hold_little() -> None:
    """A block that is read again is not parsed again, unless a few bytes of it stand for many fields."""
    reader = FieldsReader()
    small, large = encoded([(b":status", b"200"), (b"x-a", b"b")], huffman=True), b"\x88" + b"\x90" * 200
    assert reader.read(small) is reader.read(small)
    assert reader.read(large) is not reader.read(large)


TABLE_BYTES = 4_096


@given(st.lists(st.tuples(FIELDS, st.none() | st.integers(0, TABLE_BYTES)), max_size=12), st.booleans())
def test_a_dynamic_table_is_that_of_the_encoder(
    blocks: list[tuple[list[hpack.Field], int | None]], is_huffman: bool
) -> None:
    """Blocks refer to fields of those before; the encoder evicts and resizes as it likes."""
    encoder, decoder = library.Encoder(), hpack.Decoder(TABLE_BYTES)
    for fields, table_bytes in blocks:
        if table_bytes is not None:
            encoder.header_table_size = table_bytes
        assert decoder.decode(encoder.encode(fields, huffman=is_huffman), LIMIT) == fields
        assert decoder._table_bytes <= TABLE_BYTES


FULL = b"\x40\x01a" + hpack.encode_string(b"v" * (TABLE_BYTES - hpack.FIELD_BYTES - 1))
"""A field that fills the table."""


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"\x3f\xe2\x1f", id="4097 bytes: 6.3"),
        pytest.param(b"\x20\x20\x3f\xe1\x1f", id="three updates: 4.2"),
        pytest.param(b"\x88\x20", id="an update after a field: 4.2"),
        pytest.param(FULL + b"\xbf", id="an index beyond the table: 2.3.3"),
        pytest.param(FULL + b"\x40\x01b\x01c\xbf", id="an evicted field: 4.4"),
        pytest.param(FULL + FULL[:3] + hpack.encode_string(b"v" * TABLE_BYTES) + b"\xbe", id="an emptied table: 4.4"),
        pytest.param(FULL + b"\x80", id="the index 0: 6.1"),
    ],
)
def test_a_wrong_use_of_the_table_is_a_fault(block: bytes) -> None:
    """A block can't refer to a field that the table does not hold, and the table is no larger than announced."""
    with pytest.raises(ConnectionFault) as caught:
        hpack.Decoder(TABLE_BYTES).decode(block, LIMIT)
    assert caught.value.code == ErrorCode.COMPRESSION_ERROR


def test_updates_of_the_size_empty_the_table() -> None:
    """A table of size 0 has no fields, and may grow again in the same block: section 4.2."""
    decoder = hpack.Decoder(TABLE_BYTES)
    assert decoder.decode(FULL, LIMIT) == decoder.decode(b"\xbe", LIMIT)
    assert decoder.decode(b"\x20\x3f\xe1\x1f\x40\x01b\x01c\xbe", LIMIT) == [(b"b", b"c")] * 2
    decoder.decode(b"\x20", LIMIT)
    with pytest.raises(ConnectionFault):
        decoder.decode(b"\xbe", LIMIT)


def test_a_large_list_is_decoded_for_its_table() -> None:
    """Blocks that follow refer to its fields. One that is hopelessly large ends the connection: it is a bomb."""
    decoder = hpack.Decoder(TABLE_BYTES)
    with pytest.raises(StreamFault):
        decoder.decode(FULL + b"\xbe" * 6 + b"\x40\x01b\x01c", 16_384)
    assert decoder.decode(b"\xbe", 16_384) == [(b"b", b"c")]
    with pytest.raises(ConnectionFault) as caught:
        decoder.decode(FULL + b"\xbe" * 1_000, 16_384)
    assert caught.value.code == ErrorCode.ENHANCE_YOUR_CALM


def test_long_strings_of_a_peer_are_not_kept() -> None:
    """The strings that are kept for all connections would else take as much memory as a peer likes."""
    coder = library.huffman.HuffmanEncoder(
        library.huffman_constants.REQUEST_CODES, library.huffman_constants.REQUEST_CODES_LENGTH
    )
    kept = []
    for length in (1_000, 20_000):
        text = coder.encode(b"e" * length)
        before = hpack._long.cache_info().misses
        hpack.Decoder(0).decode(b"\0\x01a" + hpack.encode_integer(len(text), 7, 0x80) + text, LIMIT)
        kept.append(hpack._long.cache_info().misses - before)
    assert kept == [1, 0]


@given(st.binary(max_size=200))
def test_huffman_code(text: bytes) -> None:
    """The library's code is decoded."""
    encoder = library.huffman.HuffmanEncoder(
        library.huffman_constants.REQUEST_CODES, library.huffman_constants.REQUEST_CODES_LENGTH
    )
    assert huffman.decode(encoder.encode(text)) == text
