"""The header blocks of a response: Response-Headers and Trailers in gRPC's PROTOCOL-HTTP2.md."""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from mesh.errors import Code, Metadata
from mesh.http2 import hpack
from mesh.http2.fields import LIST_BYTES_MAX, check, content_length, malformed, metadata

BLOCKS_MAX: Final = 256
BLOCK_BYTES_MAX: Final = 512
BLOCK_METADATA_MAX: Final = 32
"""Blocks that are kept, how long they are, and how much each may hold, which a byte can say in a static table."""

_STATUS = re.compile(rb"[1-5][0-9][0-9]")
_GRPC_STATUS = re.compile(rb"[0-9]{1,9}")
_OF_PROTOCOL: Final = frozenset(
    {b"content-type", b"grpc-encoding", b"grpc-accept-encoding", b"grpc-status", b"grpc-message", b"content-length"}
)


class Fields(NamedTuple):
    """The fields of one header block. `http_status` is 0 in trailers. `code` is None without grpc-status."""

    http_status: int
    code: Code | None
    text: str
    encoding: bytes
    length: int | None
    metadata: Metadata


class FieldsReader:
    """The reader of header blocks. It keeps the short ones that it has read, because most responses have the same."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(0)
        self._read: dict[bytes, Fields] = {}

    def read(self, block: bytes) -> Fields:
        """Returns the fields of a header block. Raises StreamFault or ConnectionFault."""
        fields = self._read.get(block)
        if fields is None:
            fields = parse(self._decoder.decode(block, LIST_BYTES_MAX))
            if len(block) <= BLOCK_BYTES_MAX and len(fields.metadata) <= BLOCK_METADATA_MAX:
                if len(self._read) == BLOCKS_MAX:
                    self._read.clear()
                self._read[block] = fields
        return fields


def parse(fields: list[hpack.Field]) -> Fields:
    """Checks fields as RFC 9113, sections 8.2 and 8.3, requires. Raises StreamFault if they are malformed."""
    http_status = 0
    if fields and fields[0][0] == b":status":
        if not _STATUS.fullmatch(fields[0][1]):
            raise malformed(*fields[0])
        http_status, fields = int(fields[0][1]), fields[1:]
    for name, value in fields:
        check(name, value)
    found = dict(fields)
    return Fields(
        http_status,
        _code(found.get(b"grpc-status")),
        unquote_to_bytes(found.get(b"grpc-message", b"")).decode("utf-8", "replace"),
        found.get(b"grpc-encoding", b"identity"),
        content_length(fields),
        tuple(pair for name, value in fields if name not in _OF_PROTOCOL for pair in metadata(name, value)),
    )


def _code(value: bytes | None) -> Code | None:
    """Returns the code of a grpc-status; UNKNOWN for a number that is no code."""
    if value is None:
        return None
    if not _GRPC_STATUS.fullmatch(value):
        raise malformed(b"grpc-status", value)
    return Code(int(value)) if int(value) in _CODES else Code.UNKNOWN


_CODES: Final = frozenset(int(code) for code in Code)
