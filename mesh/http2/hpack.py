"""HPACK without dynamic tables: RFC 7541.

We announce SETTINGS_HEADER_TABLE_SIZE 0, and use none of the peer's table, so that header blocks have no state: equal
blocks mean the same, and a block that isn't read harms no later one.
"""

from typing import Final

from mesh.http2 import huffman
from mesh.http2.faults import ConnectionFault, ErrorCode, StreamFault

Field = tuple[bytes, bytes]

FIELD_BYTES: Final = 32
"""What each field adds to the size of a list beside its name and value: RFC 9113, section 6.5.2."""

INDEXED: Final = 0x80
WITH_INDEXING: Final = 0x40
SIZE_UPDATE: Final = 0x20
NEVER_INDEXED: Final = 0x10

SIZE_UPDATES_MAX: Final = 2

_HUFFMAN: Final = 0x80
_INTEGER_BYTES_MAX: Final = 5

# RFC 7541, appendix A.
_STATIC_TABLE: Final[tuple[Field, ...]] = (
    *((b":authority", b""), (b":method", b"GET"), (b":method", b"POST"), (b":path", b"/"), (b":path", b"/index.html")),
    *((b":scheme", b"http"), (b":scheme", b"https")),
    *((b":status", status) for status in (b"200", b"204", b"206", b"304", b"400", b"404", b"500")),
    *((b"accept-charset", b""), (b"accept-encoding", b"gzip, deflate")),
    *(
        (name, b"")
        for name in (
            b"accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control"
            b" content-disposition content-encoding content-language content-length content-location content-range"
            b" content-type cookie date etag expect expires from host if-match if-modified-since if-none-match if-range"
            b" if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization"
            b" range referer refresh retry-after server set-cookie strict-transport-security transfer-encoding"
            b" user-agent vary via www-authenticate"
        ).split()
    ),
)


def encode_integer(value: int, prefix_bits: int, pattern: int) -> bytes:
    """Returns an integer behind the bits of a pattern: section 5.1."""
    most = (1 << prefix_bits) - 1
    if value < most:
        return bytes((pattern | value,))
    encoded = bytearray((pattern | most,))
    value -= most
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


_LENGTHS_COUNT: Final = 1024
_LENGTHS: Final = [encode_integer(length, 7, 0) for length in range(_LENGTHS_COUNT)]
"""The lengths of most strings, tokens among them, as they are encoded."""


def encode_string(value: bytes) -> bytes:
    """Returns a string literal without Huffman code, which would cost time and save a few bytes: section 5.2."""
    length = len(value)
    return (_LENGTHS[length] if length < _LENGTHS_COUNT else encode_integer(length, 7, 0)) + value


def encode_name(name: bytes, *, never_indexed: bool = False) -> bytes:
    """Returns the start of a literal field, which ends with the value as encode_string() returns it: section 6.2.
    Proxies too keep a field out of their tables that is never indexed: section 7.1.
    """
    return (b"\x10" if never_indexed else b"\0") + encode_string(name)


def decode(block: bytes, list_bytes_max: int) -> list[Field]:
    """Returns the fields of a header block. Raises ConnectionFault if it is malformed or refers to a dynamic table,
    StreamFault if the list is larger than `list_bytes_max`.
    """
    # FIELD_BYTES is more than any encoder adds to a field, so that the list of a longer block is longer still.
    if len(block) > list_bytes_max:
        raise _too_large(list_bytes_max)
    try:
        return _decode(block, list_bytes_max)
    except (IndexError, ValueError) as error:
        raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"a malformed header block: {error}") from error


def _decode(block: bytes, list_bytes_max: int) -> list[Field]:
    fields: list[Field] = []
    offset, list_bytes = _skip_size_updates(block), 0
    while offset < len(block):
        first = block[offset]
        if first & INDEXED:
            index, offset = _integer(block, offset, 7)
            field = _static(index)
        elif first & SIZE_UPDATE and not first & WITH_INDEXING:
            raise ValueError("a size update where none belongs")
        else:
            # What is added to a table of size 0 is not in it: section 4.4.
            index, offset = _integer(block, offset, 6 if first & WITH_INDEXING else 4)
            if index:
                name = _static(index)[0]
            else:
                name, offset = _string(block, offset)
            value, offset = _string(block, offset)
            field = name, value
        fields.append(field)
        list_bytes += len(field[0]) + len(field[1]) + FIELD_BYTES
        if list_bytes > list_bytes_max:
            raise _too_large(list_bytes_max)
    return fields


def _skip_size_updates(block: bytes) -> int:
    """Returns the offset of the first field. The tables of both sides stay empty, and there are no more than two
    updates: section 4.2.
    """
    offset = 0
    for _ in range(SIZE_UPDATES_MAX):
        if offset == len(block) or block[offset] & 0xE0 != SIZE_UPDATE:
            break
        size, offset = _integer(block, offset, 5)
        if size:
            raise ValueError(f"a dynamic table of {size} bytes, where 0 are allowed")
    return offset


def _too_large(list_bytes_max: int) -> StreamFault:
    return StreamFault(ErrorCode.PROTOCOL_ERROR, f"headers of more than {list_bytes_max} bytes")


def _static(index: int) -> Field:
    if not 0 < index <= len(_STATIC_TABLE):
        raise ValueError(f"the index {index} of no field")
    return _STATIC_TABLE[index - 1]


def _integer(block: bytes, offset: int, prefix_bits: int) -> tuple[int, int]:
    """Returns an integer and the offset behind it."""
    most = (1 << prefix_bits) - 1
    value = block[offset] & most
    offset += 1
    if value < most:
        return value, offset
    for position in range(_INTEGER_BYTES_MAX):
        byte = block[offset + position]
        value += (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return value, offset + position + 1
    raise ValueError("an integer of too many bytes")


def _string(block: bytes, offset: int) -> tuple[bytes, int]:
    """Returns a string and the offset behind it."""
    is_huffman = block[offset] & _HUFFMAN
    length, start = _integer(block, offset, 7)
    end = start + length
    if end > len(block):
        raise ValueError("a string beyond the end")
    data = block[start:end]
    return huffman.decode(data) if is_huffman else data, end
