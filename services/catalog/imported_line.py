"""A line of an import: the product that it describes."""

import json
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

from googleapis.google.type.money_pb import Money as MoneyMessage
from meshwright.catalog.v1.catalog_pb import Product as ProductMessage

from mesh.errors import FieldViolation, InvalidArgument, MeshError, invalid_fields
from mesh.resource_name import uid_in
from mesh.validation import Validator
from services.catalog.domain.product import NAME_PREFIX, Details
from services.catalog.line_splitter import LINE_BYTES_MAX, Line
from services.catalog.product_message import details_of

# The namespace of the identifiers that follow from a request_id (RFC 9562, section 6.5).
_NAMESPACE = UUID("6f0d3a3e-6c0a-4b8e-9a57-3c1d7b0f5f21")

_JSON_NAMES: Final = {
    field.name: field.json_name for message in (ProductMessage, MoneyMessage) for field in message.desc().fields
}


@dataclass(frozen=True, slots=True)
class ImportedLine:
    """A valid line of an import."""

    number: int
    uid: UUID
    details: Details


@dataclass(frozen=True, slots=True)
class InvalidLine:
    """A line of an import that can't be imported."""

    number: int
    error: MeshError


class LineReader:
    """A reader of the lines of one import."""

    def __init__(self, validator: Validator, subject: str, request_id: str) -> None:
        self._validator = validator
        self._import = uuid5(_NAMESPACE, f"{subject} {request_id.lower()}") if request_id else None

    def read(self, line: Line) -> ImportedLine | InvalidLine:
        """Returns the product of a line, or what is wrong with it."""
        try:
            return self._read(line)
        except InvalidArgument as error:
            return InvalidLine(line.number, error)

    def _read(self, line: Line) -> ImportedLine:
        message = _parsed(line.content)
        self._validator.check(message)
        uid = _uid_in(message.name) if message.name else self._uid_by(line.number)
        return ImportedLine(line.number, uid, details_of(message))

    def _uid_by(self, number: int) -> UUID:
        """Returns the identifier of a product without a name: with a request_id the same at each repetition."""
        return uuid4() if self._import is None else uuid5(self._import, str(number))


def _uid_in(name: str) -> UUID:
    if (uid := uid_in(name, NAME_PREFIX)) is None:
        description = f"must be {NAME_PREFIX} followed by a UUID in lower case"
        raise invalid_fields([FieldViolation("name", description, "NAME_INVALID")])
    return uid


def _parsed(content: bytes | None) -> ProductMessage:
    if content is None:
        raise InvalidArgument(f"The line is longer than {LINE_BYTES_MAX} bytes.", reason="MESSAGE_TOO_LARGE")
    try:
        text = content.decode()
        _CHECKED.decode(text)
        return ProductMessage.from_json(text)
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise InvalidArgument(f"The line is not a product in JSON: {error}", reason="MALFORMED_JSON") from error


def _check_names(pairs: list[tuple[str, Any]]) -> None:
    """Raises ValueError if an object gives a field more than once, by its name in the contract or by that in JSON.
    ProtoJSON forbids it, but from_json() takes the last value.
    """
    seen = set[str]()
    for name, _ in pairs:
        json_name = _JSON_NAMES.get(name, name)
        if json_name in seen:
            raise ValueError(f'"{name}" is given more than once')
        seen.add(json_name)


_CHECKED: Final = json.JSONDecoder(object_pairs_hook=_check_names)
