"""Decoders for what the publisher of an AMQP message chooses, which accept whatever RabbitMQ accepts.

RabbitMQ passes on texts that are not UTF-8, and times and tables that the client library can't represent. The library
ends a connection when it reads such a message. The message would return to the front of its queue, and end the next
connection too: nothing behind it would ever arrive.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final

from pamqp import decode
from pamqp.common import FieldTable, FieldValue


def _short_text(value: bytes) -> tuple[int, str]:
    """Decodes a text of up to 255 bytes: a routing key or a property. Replaces what is not UTF-8."""
    end = 1 + value[0]
    return end, value[1:end].decode(errors="replace")


def _table(value: bytes) -> tuple[int, FieldTable]:
    """Decodes headers. Returns none if one of them can't be decoded, so that the event is not authentic."""
    with suppress(ArithmeticError, LookupError, OSError, RecursionError, ValueError):
        return decode.field_table(value)
    return 4 + int.from_bytes(value[:4]), {}


def _time(value: bytes) -> tuple[int, datetime | None]:
    """Decodes a time. Returns None if a datetime can't hold it."""
    with suppress(ArithmeticError, OSError, ValueError):
        return decode.timestamp(value)
    return 8, None


DECODERS: Final[Mapping[str, Callable[..., tuple[int, FieldValue]]]] = {
    "shortstr": _short_text,
    "table": _table,
    "timestamp": _time,
}
"""The decoders by the names of their types in pamqp."""
