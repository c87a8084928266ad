"""Readers of scalar values, from JSON and from the text of a path or query.

Both follow one grammar: JSON numbers, "NaN", "Infinity", "-Infinity", true, false, and base64 in either alphabet, with
or without padding.
"""

import binascii
import math
import re
from base64 import b64decode
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Final

from protobuf import ScalarType

from edge.protojson.violations import InvalidValue, json_type_name

Scalar = bool | int | float | str | bytes

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]*|[A-Za-z0-9_-]*)(={0,2})")
_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_DIGITS_MAX: Final = 400
FLOAT_MAX: Final = 3.4028234663852886e38
"""The greatest finite 32-bit float."""

# Numbers below the midpoint between FLOAT_MAX and the next power of two round to FLOAT_MAX.
_FLOAT_OVERFLOW: Final = 3.4028235677973366e38

_INT32 = (ScalarType.INT32, ScalarType.SINT32, ScalarType.SFIXED32)
_INT64 = (ScalarType.INT64, ScalarType.SINT64, ScalarType.SFIXED64)
_UINT32 = (ScalarType.UINT32, ScalarType.FIXED32)
_UINT64 = (ScalarType.UINT64, ScalarType.FIXED64)

RANGES: Final[dict[ScalarType, tuple[int, int]]] = {
    **dict.fromkeys(_INT32, (-(2**31), 2**31 - 1)),
    **dict.fromkeys(_INT64, (-(2**63), 2**63 - 1)),
    **dict.fromkeys(_UINT32, (0, 2**32 - 1)),
    **dict.fromkeys(_UINT64, (0, 2**64 - 1)),
}
"""The minimum and the maximum of each integer type."""

INT64_TYPES: Final = frozenset((*_INT64, *_UINT64))
"""The integer types that are strings in JSON, because a JavaScript number can't represent all of their values."""


def _integer_of_text(text: str) -> int:
    if len(text) > _DIGITS_MAX:
        raise InvalidValue("has too many digits")
    if _INTEGER.fullmatch(text):
        return int(text)
    if not _NUMBER.fullmatch(text):
        raise InvalidValue("must be a whole number in decimal digits")
    try:
        return _integer_of_decimal(Decimal(text))
    except InvalidOperation:
        raise InvalidValue("is out of range", "OUT_OF_RANGE") from None


def _integer_of_decimal(number: Decimal) -> int:
    if number.adjusted() > _DIGITS_MAX:
        raise InvalidValue("is out of range", "OUT_OF_RANGE")
    whole = int(number)
    if whole != number:
        raise InvalidValue("must be a whole number")
    return whole


def _integer(scalar: ScalarType) -> Callable[[object], int]:
    least, greatest = RANGES[scalar]

    def read(value: object) -> int:
        if type(value) is int:
            number = value
        elif type(value) is str:
            number = _integer_of_text(value)
        elif type(value) is Decimal:
            number = _integer_of_decimal(value)
        else:
            raise InvalidValue(f"must be a whole number, not {json_type_name(value)}")
        if not least <= number <= greatest:
            raise InvalidValue(f"must be from {least} to {greatest}", "OUT_OF_RANGE")
        return number

    return read


def read_double(value: object) -> float:
    """Reads a 64-bit float. Raises InvalidValue."""
    if type(value) is Decimal or type(value) is int:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    elif type(value) is str:
        if value in _NOT_FINITE:
            return _NOT_FINITE[value]
        if not _NUMBER.fullmatch(value):
            raise InvalidValue('must be a number, "NaN", "Infinity" or "-Infinity"')
        number = float(value)
    else:
        raise InvalidValue(f"must be a number, not {json_type_name(value)}")
    if not math.isfinite(number):
        raise InvalidValue("is out of the range of a 64-bit float", "OUT_OF_RANGE")
    return number


def _read_float(value: object) -> float:
    number = read_double(value)
    if FLOAT_MAX < abs(number) < math.inf:
        if abs(number) >= _FLOAT_OVERFLOW:
            raise InvalidValue("is out of the range of a 32-bit float", "OUT_OF_RANGE")
        return math.copysign(FLOAT_MAX, number)
    return number


def _read_bool(value: object) -> bool:
    if value is True or value is False:
        return value
    raise InvalidValue(f"must be true or false, not {json_type_name(value)}")


def read_string(value: object) -> str:
    """Reads a string. Raises InvalidValue for a lone surrogate, because UTF-8 can't encode it."""
    if type(value) is not str:
        raise InvalidValue(f"must be a string, not {json_type_name(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidValue("contains half of a surrogate pair, which UTF-8 can't encode") from None
    return value


def _read_bytes(value: object) -> bytes:
    if type(value) is not str:
        raise InvalidValue(f"must be a string in base64, not {json_type_name(value)}")
    found = _BASE64.fullmatch(value)
    if found is None or (found[1] and len(value) % 4) or len(value.rstrip("=")) % 4 == 1:
        raise InvalidValue("is not base64")
    try:
        return b64decode(value.translate(_TO_STANDARD) + "=" * (-len(value) % 4))
    except binascii.Error:
        raise InvalidValue("is not base64") from None


_TO_STANDARD = str.maketrans("-_", "+/")

FROM_JSON: Final[dict[ScalarType, Callable[[object], Scalar]]] = {
    **{scalar: _integer(scalar) for scalar in RANGES},
    ScalarType.DOUBLE: read_double,
    ScalarType.FLOAT: _read_float,
    ScalarType.BOOL: _read_bool,
    ScalarType.STRING: read_string,
    ScalarType.BYTES: _read_bytes,
}
"""Reader of JSON values by type. Raises InvalidValue."""


def _bool_of_text(text: str) -> bool:
    if text in ("true", "false"):
        return text == "true"
    raise InvalidValue("must be true or false")


FROM_TEXT: Final[dict[ScalarType, Callable[[str], Scalar]]] = {**FROM_JSON, ScalarType.BOOL: _bool_of_text}
"""Reader of text from a path, a query or a map key by type. Raises InvalidValue."""
