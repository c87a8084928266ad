"""The sizes that a contract's rules bound, applied to a message before its rules are evaluated.

protovalidate evaluates every rule of every element and makes an object of each violation, 20 µs and 4 KB of memory
apiece, also where the list they stand in is a thousand times longer than it may be. So what is longer than a rule
allows is cut to one more than that: it breaks the rule still, and costs no more than a message that keeps it.

A CEL expression costs what it iterates over, and some cost the square of that; protovalidate gives up after 10,000
iterations, which takes up to seconds that nothing can interrupt. What expressions may have to look at is counted
before, and bounded where the contract itself sets no bound.
"""

import abc
import re
from collections.abc import Iterable, MutableMapping, MutableSequence
from dataclasses import dataclass
from threading import RLock
from typing import Any, Final

from protobuf import (
    DescField,
    DescFieldValueEnum,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
    Message,
)

from mesh.contract.descriptors import inner_message
from mesh.contract.rules import (
    active,
    element_rules,
    expressions,
    field_rules,
    has_rules,
    items_max,
    length_max,
    message_rules,
)

COST_MAX: Final = 10_000
"""What the expressions of one message may cost, in elements looked at, beyond what the contract's own bounds allow."""

_WEIGHTS: Final = (
    (re.compile(r"\bmatches\s*\("), 30),  # compiles its regular expression anew
    (re.compile(r"\b(?:map|filter|exists_one|split|distinct|sort\w*)\s*\("), 10),  # copies lists
    (re.compile(r"\.(?:all|exists)\s*\(.*\.(?:all|exists)\s*\(", re.DOTALL), 100),  # a loop in a loop
)
"""How many elements one counts for where an expression does more than look at each once."""


class TooCostly(Exception):
    """The rules of a message would cost too much to evaluate. `field` is the path of the list that is too long."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


@dataclass(slots=True)
class Measure:
    """What is counted of one message: its elements, and the cost of the expressions that look at them."""

    elements: int = 0
    cost: int = 0
    is_cut: bool = False

    def spend(self, cost: int, field: str) -> None:
        """Counts a cost. Raises TooCostly."""
        self.cost += cost
        if self.cost > COST_MAX:
            raise TooCostly(field)


class Bounds:
    """The bounds of all message types, found in their descriptors at the first use of each."""

    def __init__(self) -> None:
        self._by_type: dict[str, _MessageBounds | None] = {}
        self._lock = RLock()

    def apply(self, message: Message) -> Measure:
        """Cuts what is too long to one more than is allowed, and returns what the message holds then. Raises
        TooCostly.
        """
        measure, bounds = Measure(), self.of(message.desc())
        if bounds is not None:
            bounds.apply(message, measure)
        return measure

    def of(self, desc: DescMessage) -> "_MessageBounds | None":
        """Returns the bounds of one type, None if neither it nor what it can hold has rules."""
        with self._lock:  # threads share a validator
            if desc.type_name not in self._by_type:
                made = _MessageBounds(desc) if has_rules(desc) else None
                self._by_type[desc.type_name] = made  # before its fields are looked at, which may be of the same type
                if made is not None:
                    made.fields = tuple(filter(None, map(self._field, desc.fields)))
            return self._by_type[desc.type_name]

    def _field(self, field: DescField) -> "_Field | None":
        rules, inner_desc = field_rules(field), inner_message(field)
        inner = self.of(inner_desc) if inner_desc is not None else None
        if rules is None and inner is None:
            return None
        cost = _cost(expressions(active(rules)))
        match field.value:
            case DescFieldValueList() | DescFieldValueMap():
                return _Many(field, cost + _cost(expressions(element_rules(rules))), inner, items_max(rules))
            case DescFieldValueMessage():
                return _Single(field, cost, inner)
        longest = length_max(rules)
        return _Text(field, cost, None, longest) if longest is not None else None


class _MessageBounds:
    """The bounds of one message type. `cost` is that of its own expressions for each element they look at,
    `cost_of_scalars` that of the expressions of its fields that hold no others.
    """

    __slots__ = ("cost", "cost_of_scalars", "fields")

    def __init__(self, desc: DescMessage) -> None:
        self.cost = _cost(expressions(message_rules(desc)))
        scalars = (each for each in desc.fields if isinstance(each.value, DescFieldValueScalar | DescFieldValueEnum))
        self.cost_of_scalars = sum(_cost(expressions(active(field_rules(each)))) for each in scalars)
        self.fields: tuple[_Field, ...] = ()

    def apply(self, message: Message, measure: Measure) -> int:
        """Cuts the message. Returns how many elements it holds in lists and maps that the contract does not bound."""
        unbounded = sum(field.apply(message, measure) for field in self.fields)
        if cost := self.cost * (1 + unbounded) + self.cost_of_scalars:
            measure.spend(cost, "")
        return unbounded


@dataclass(frozen=True, slots=True)
class _Field(abc.ABC):
    """The bounds of one field. `inner` are those of the messages that it holds; `cost` is as for a message."""

    desc: DescField
    cost: int
    inner: _MessageBounds | None

    @abc.abstractmethod
    def apply(self, message: Message, measure: Measure) -> int:
        """Cuts the field of a message. Returns as _MessageBounds.apply() does."""


@dataclass(frozen=True, slots=True)
class _Many(_Field):
    """A list, or a map; `cost` is that of the expressions for the whole and for each element together."""

    items_max: int | None

    def apply(self, message: Message, measure: Measure) -> int:
        items = message[self.desc]
        if self.items_max is not None and len(items) > self.items_max + 1:
            _cut(items, self.items_max + 1)
            measure.is_cut = True
        measure.elements += len(items)
        unbounded = len(items) if self.items_max is None else 0
        if self.inner is not None:
            messages = items.values() if isinstance(items, MutableMapping) else items
            unbounded += self._apply_inner(self.inner, messages, measure)
        if unbounded and self.cost:
            measure.spend(self.cost * unbounded, self.desc.name)
        return unbounded

    def _apply_inner(self, inner: _MessageBounds, messages: Iterable[Message], measure: Measure) -> int:
        """Applies the bounds of each message. What they cost together is the contract's choice if it bounds them."""
        unbounded, before = 0, measure.cost
        try:
            for each in messages:
                unbounded += inner.apply(each, measure)
                if self.items_max is not None:
                    measure.cost = before
        except TooCostly as error:
            raise TooCostly(error.field or self.desc.name) from None
        return unbounded


@dataclass(frozen=True, slots=True)
class _Single(_Field):
    """A message."""

    def apply(self, message: Message, measure: Measure) -> int:
        if self.inner is None or self.desc not in message:
            return 0
        unbounded = self.inner.apply(message[self.desc], measure)
        if self.cost:
            measure.spend(self.cost * (1 + unbounded), self.desc.name)
        return unbounded


@dataclass(frozen=True, slots=True)
class _Text(_Field):
    """A string, or bytes."""

    length_max: int

    def apply(self, message: Message, measure: Measure) -> int:
        text = message[self.desc]
        if text is not None and len(text) > self.length_max + 1:
            message[self.desc] = text[: self.length_max + 1]
            measure.is_cut = True
        return 0


def _cut(items: "MutableSequence[Any] | MutableMapping[Any, Any]", length: int) -> None:
    """Removes all but the first elements."""
    if isinstance(items, MutableMapping):
        for key in list(items)[length:]:
            del items[key]
    else:
        del items[length:]


def _cost(found: Iterable[str]) -> int:
    """Returns how many elements one element counts for, looked at by these CEL expressions."""
    return sum(max([1, *(weight for pattern, weight in _WEIGHTS if pattern.search(each))]) for each in found)
