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

_Row = list["tuple[int, int | None] | None"]
"""For each value of the next four bits: the next row, and the symbol that they complete. None if they are invalid."""


def decode(data: bytes) -> bytes:
    """Returns the decoded string. Raises ValueError if it is not one."""
    decoded = bytearray()
    state = 0
    for byte in data:
        for nibble in (byte >> 4, byte & 0xF):
            step = _ROWS[state][nibble]
            if step is None:
                raise ValueError("the end-of-string symbol in a string")
            state, symbol = step
            if symbol is not None:
                decoded.append(symbol)
    if not _ENDS[state]:
        raise ValueError("padding that is not the start of the end-of-string symbol")
    return bytes(decoded)


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


def _tables() -> tuple[list[_Row], list[bool]]:
    """Returns a row for each state, which is a prefix of codes, and whether a string may end there."""
    codes = _codes()
    prefixes = sorted({code[:length] for code in codes for length in range(len(code))}, key=len)
    states = {prefix: state for state, prefix in enumerate(prefixes)}
    rows: list[_Row] = [[_step(prefix, f"{nibble:04b}", codes, states) for nibble in range(16)] for prefix in prefixes]
    return rows, [len(prefix) <= _PADDING_BITS_MAX and "0" not in prefix for prefix in prefixes]


def _step(prefix: str, bits: str, codes: dict[str, int], states: dict[str, int]) -> tuple[int, int | None] | None:
    found = None  # the shortest code has five bits, so that four complete at most one symbol
    for bit in bits:
        prefix += bit
        symbol = codes.get(prefix)
        if symbol == _EOS:
            return None
        if symbol is not None:
            prefix, found = "", symbol
    return states[prefix], found


_ROWS, _ENDS = _tables()
