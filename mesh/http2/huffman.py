"""The Huffman code of HPACK: RFC 7541, section 5.2 and appendix B."""

from itertools import groupby
from typing import Final

_EOS: Final = 256
_PADDING_BITS_MAX: Final = 7

# fmt: off
_LENGTHS: Final = (
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
)
"""The length of the code of each symbol in bits. The code is canonical, so the lengths determine it."""
# fmt: on


def decode(data: bytes) -> bytes:
    """Returns the decoded string. Raises ValueError if it is not one."""
    row = _START
    pieces = []
    for byte in data:
        if not row:
            row.fill()
        row, symbols = row[byte]
        pieces.append(symbols)
    if not row.may_end:
        raise ValueError("not a string in Huffman code, which ends with the start of the end-of-string symbol")
    return b"".join(pieces)


class _Row(list["tuple[_Row, bytes]"]):
    """A prefix of codes that has been read. For each value of the next byte: the row behind it, and the symbols that it
    completes. It is filled when it is first needed, because most rows never are.
    """

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix
        self.may_end = len(prefix) <= _PADDING_BITS_MAX and "0" not in prefix

    def fill(self) -> None:
        """Adds the values."""
        self.extend(_step(self._prefix, f"{byte:08b}") for byte in range(256))


def _step(prefix: str, bits: str) -> tuple[_Row, bytes]:
    symbols = bytearray()
    for bit in bits:
        prefix += bit
        symbol = _CODES.get(prefix)
        if symbol is not None:
            if symbol == _EOS:
                return _INVALID, b""
            prefix = ""
            symbols.append(symbol)
    return _ROWS[prefix], bytes(symbols)


def _codes() -> dict[str, int]:
    """Returns the symbol of each code. A code is written as a text of 0 and 1."""
    codes: dict[str, int] = {}
    code = 0
    previous = 0
    for length, symbols in groupby(
        sorted(range(_EOS + 1), key=lambda symbol: (_LENGTHS[symbol], symbol)), _LENGTHS.__getitem__
    ):
        code <<= length - previous
        previous = length
        for symbol in symbols:
            codes[f"{code:0{length}b}"] = symbol
            code += 1
    return codes


_CODES: Final = _codes()
_ROWS: Final = {prefix: _Row(prefix) for prefix in {code[:length] for code in _CODES for length in range(len(code))}}
_START: Final = _ROWS[""]
_INVALID: Final = _Row("0")
"""The row behind the end-of-string symbol, which may not be in a string: nothing leads out of it, and none may end."""
_INVALID.extend([(_INVALID, b"")] * 256)
