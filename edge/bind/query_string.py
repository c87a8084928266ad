"""Query strings and forms as pairs of texts."""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from edge.protojson.violations import InvalidValue, Violations, shorten

PARAMETERS_MAX: Final = 1000

_MALFORMED = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def split_query(encoded: bytes, violations: Violations) -> list[tuple[str, str]]:
    """Returns the decoded pairs of an application/x-www-form-urlencoded text (URL Standard, section 5.1). Adds
    malformed pairs to `violations`.
    """
    pieces = encoded.split(b"&", PARAMETERS_MAX)
    if len(pieces) > PARAMETERS_MAX:
        violations.add("query", InvalidValue(f"has more than {PARAMETERS_MAX} parameters", "TOO_MANY_PARAMETERS"))
        return []
    pairs = []
    for piece in pieces:
        if piece:
            key, _, value = piece.partition(b"=")
            try:
                pairs.append((_decode(key), _decode(value)))
            except InvalidValue as wrong:
                violations.add(shorten(piece.partition(b"=")[0].decode("ascii", "replace")), wrong)
    return pairs


def _decode(encoded: bytes) -> str:
    if b"%" in encoded and _MALFORMED.search(encoded):
        raise InvalidValue("has a % that is not followed by two hexadecimal digits", "MALFORMED_ENCODING")
    try:
        return unquote_to_bytes(encoded.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise InvalidValue("is not UTF-8", "MALFORMED_ENCODING") from None
