"""Numbers of type float with the fewest digits.

protobuf-py reads a float as the double of the same value, and writes all digits of that: 0.1 becomes
0.10000000149011612. ProtoJSON's other writers write the shortest decimal that is read as the same float. A message of
protobuf-py keeps any double, so this module sets the one with that decimal before the message is written.
"""

from collections.abc import Iterator
from ctypes import c_float
from dataclasses import dataclass
from typing import Any, Final

from protobuf import (
    DescExtension,
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescMessage,
    Message,
    Registry,
    ScalarType,
)

from edge.protojson.any_and_struct import ANY
from mesh.contract.descriptors import element_of

_DIGITS: Final = (".6g", ".7g", ".8g")
_DIGITS_MAX: Final = ".9g"
"""Nine digits distinguish all floats."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A field that may hold floats: `key` finds its value in a message, which may be a default that is not set."""

    key: Any
    kind: type
    is_float: bool
    may_default: bool


class ShortFloats:
    """The floats in messages of any type."""

    def __init__(self, registry: Registry) -> None:
        """`registry` has the extensions, and the types in Anys."""
        self._registry = registry
        self._steps: dict[str, tuple[_Step, ...]] = {}

    def shorten(self, message: Message) -> bool:
        """Shortens all floats of a message. Returns False, perhaps before all are short, if there may be some in the
        bytes of an Any or in an extension, which protobuf-py also keeps as bytes.
        """
        desc = message.desc()
        if desc.type_name == ANY:
            return not self._is_float_any(message)
        for step in self._steps_of(desc):
            if (value := message[step.key]) and not self._shorten_field(message, step, value):
                return False
        return True

    def _shorten_field(self, message: Any, step: _Step, value: Any) -> bool:
        if step.kind is DescExtension:
            return step.key not in message
        if not step.is_float:
            if step.kind is DescFieldValueMessage:
                return self.shorten(value)
            items = value.values() if step.kind is DescFieldValueMap else value
            return all(map(self.shorten, items))
        if step.kind is DescFieldValueList:
            value[:] = map(shortest, value)
        elif step.kind is DescFieldValueMap:
            value.update({key: shortest(item) for key, item in value.items()})
        elif not step.may_default or step.key in message:
            message[step.key] = shortest(value)
        return True

    def _is_float_any(self, packed: Any) -> bool:
        """Returns whether the message in an Any may hold floats."""
        desc = self._registry.message(packed.type_url.rpartition("/")[2])
        return desc is not None and (desc.type_name == ANY or bool(self._steps_of(desc)))

    def _steps_of(self, desc: DescMessage) -> tuple[_Step, ...]:
        steps = self._steps.get(desc.type_name)
        return steps if steps is not None else self._learn(desc)

    def _learn(self, root: DescMessage) -> tuple[_Step, ...]:
        """Finds the steps of a type and of those inside it. Returns those of the type."""
        found: dict[str, list[tuple[_Step, DescMessage | None]]] = {}
        waiting = [root]
        while waiting:
            desc = waiting.pop()
            if desc.type_name not in found:
                found[desc.type_name] = steps = list(self._candidates(desc))
                waiting += [inner for _, inner in steps if inner is not None]
        holders = {ANY}
        while new := {
            name
            for name, steps in found.items()
            if name not in holders and any(inner is None or inner.type_name in holders for _, inner in steps)
        }:
            holders |= new
        for name, steps in found.items():
            self._steps[name] = tuple(step for step, inner in steps if inner is None or inner.type_name in holders)
        return self._steps[root.type_name]

    def _candidates(self, desc: DescMessage) -> Iterator[tuple[_Step, DescMessage | None]]:
        """Yields the fields of a type that are floats, with None, or messages, with their type."""
        fields: list[DescField | DescExtension] = [*desc.fields, *self._registry.extensions_for(desc)]
        for field in fields:
            element = element_of(field)
            is_float, inner = element is ScalarType.FLOAT, element if isinstance(element, DescMessage) else None
            if is_float or inner is not None:
                if isinstance(field, DescExtension):
                    step = _Step(field.type, DescExtension, is_float, may_default=True)
                else:
                    step = _Step(field, type(field.value), is_float, field.presence.name != "IMPLICIT")
                yield step, inner


def shortest(value: float) -> float:
    """Returns the double with the fewest digits, from six on, that is the same float as this one."""
    for digits in _DIGITS:
        short = float(format(value, digits))
        if short == value or c_float(short).value == value:
            return short
    return float(format(value, _DIGITS_MAX))
