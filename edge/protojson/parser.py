"""A strict parser of JSON documents (RFC 8259).

Objects become dict, or DuplicateKeys if a key occurs more than once. Numbers with a fraction or an exponent, and -0,
become Decimal, so that nothing is rounded before the field's type is known.
"""

import json
import re
from collections import Counter
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, NoReturn

JsonValue = dict[str, "JsonValue"] | list["JsonValue"] | str | int | Decimal | bool | None


class MalformedJson(ValueError):
    """A body that is not JSON. Its text is shown to the caller."""


class DuplicateKeys(dict[str, Any]):
    """An object in which the keys in `repeated` occur more than once; it keeps the last value of each."""

    repeated: tuple[str, ...] = ()


def parse(body: bytes) -> JsonValue:
    """Returns the document's value. Raises MalformedJson with the position of the error."""
    try:
        decoder = _DECODER_OF_ZEROS if b"-0" in body and _NEGATIVE_ZERO.search(body) else _DECODER
        value: JsonValue = decoder.decode(body.decode())
    except UnicodeDecodeError as error:
        raise MalformedJson(f"The body is not valid UTF-8: byte {error.start} is invalid.") from None
    except json.JSONDecodeError as error:
        why = error.msg.lower().removesuffix(" at")
        raise MalformedJson(f"The body is not JSON: {why} (line {error.lineno}, column {error.colno}).") from None
    except RecursionError:
        raise MalformedJson("The body is nested too deeply.") from None
    except InvalidOperation:
        raise MalformedJson("A number in the body has an exponent that is too large.") from None
    except ValueError as error:
        raise MalformedJson(
            str(error) if isinstance(error, MalformedJson) else "A number in the body has too many digits."
        ) from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    marked = DuplicateKeys(value)
    marked.repeated = tuple(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    return marked


def _constant(text: str) -> NoReturn:
    raise MalformedJson(f'{text} is not JSON; write "{text}" where the field is a number.')


def _integer(text: str) -> int | Decimal:
    return Decimal(text) if text == "-0" else int(text)


_NEGATIVE_ZERO = re.compile(rb"-0(?![0-9.eE])")
_Decoder = partial(json.JSONDecoder, object_pairs_hook=_object, parse_float=Decimal, parse_constant=_constant)
_DECODER = _Decoder()
_DECODER_OF_ZEROS = _Decoder(parse_int=_integer)  # apart from the other, because it calls a function for each integer
