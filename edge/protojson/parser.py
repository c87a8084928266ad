"""From the bytes of a JSON document (RFC 8259) to Python values, strictly.

Objects become dict, or RepeatedKeys where a key is there twice; numbers with a fraction or an exponent become Decimal,
so that nothing is rounded before the field's type is known.
"""

import json
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

JsonValue = dict[str, "JsonValue"] | list["JsonValue"] | str | int | Decimal | bool | None


class Malformed(ValueError):
    """A body that is not JSON. The text is for the caller."""


class RepeatedKeys(dict[str, Any]):
    """An object in which `repeated` are there more than once; the last value of each is kept."""

    repeated: tuple[str, ...] = ()


def parse(body: bytes) -> JsonValue:
    """The document's value. Raises Malformed with a sentence that says where the document is wrong."""
    try:
        value: JsonValue = _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        raise Malformed(f"The body is not UTF-8: byte {error.start} is wrong.") from None
    except json.JSONDecodeError as error:
        raise Malformed(
            f"The body is not JSON: {error.msg.lower()} in line {error.lineno}, column {error.colno}."
        ) from None
    except RecursionError:
        raise Malformed("The body is nested too deeply.") from None
    except InvalidOperation:
        raise Malformed("A number has too large an exponent.") from None
    except ValueError as error:
        raise Malformed(str(error) if isinstance(error, Malformed) else "A number has too many digits.") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    marked = RepeatedKeys(value)
    marked.repeated = tuple(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    return marked


def _constant(text: str) -> NoReturn:
    raise Malformed(f'{text} is not JSON; write "{text}" where the field is a number.')


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=Decimal, parse_constant=_constant)
