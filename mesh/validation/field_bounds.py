"""The bounds of one message type and of its fields."""

import abc
from collections.abc import Iterable, MutableMapping, MutableSequence
from dataclasses import dataclass
from typing import Any

from protobuf import DescField, DescFieldValueEnum, DescFieldValueScalar, DescMessage, Message

from mesh.contract.rules import active, expressions, field_rules, message_rules
from mesh.validation.expression_cost import expression_cost
from mesh.validation.message_cost import MessageCost, TooCostly


class MessageBounds:
    """The bounds of one message type. `cost` is that of its own expressions for each element, `cost_of_scalars` that of
    the expressions of its scalar fields.
    """

    __slots__ = ("cost", "cost_of_scalars", "fields")

    def __init__(self, desc: DescMessage) -> None:
        self.cost = expression_cost(expressions(message_rules(desc)))
        scalars = (each for each in desc.fields if isinstance(each.value, DescFieldValueScalar | DescFieldValueEnum))
        self.cost_of_scalars = sum(expression_cost(expressions(active(field_rules(each)))) for each in scalars)
        self.fields: tuple[FieldBounds, ...] = ()

    def apply(self, message: Message, total: MessageCost) -> int:
        """Cuts the message. Returns the number of elements in lists and maps that the contract does not bound."""
        unbounded = 0
        for field in self.fields:
            unbounded += field.apply(message, total)
        if cost := self.cost * (1 + unbounded) + self.cost_of_scalars:
            total.spend(cost, "")
        return unbounded


@dataclass(frozen=True, slots=True)
class FieldBounds(abc.ABC):
    """The bounds of one field. `inner` are those of the messages in it; `cost` is as for a message."""

    desc: DescField
    cost: int
    inner: MessageBounds | None

    @abc.abstractmethod
    def apply(self, message: Message, total: MessageCost) -> int:
        """Cuts the field of a message. Returns as MessageBounds.apply() does."""


@dataclass(frozen=True, slots=True)
class RepeatedBounds(FieldBounds):
    """The bounds of a list or a map. `cost` covers the expressions of the whole field and of its elements."""

    items_max: int | None

    def apply(self, message: Message, total: MessageCost) -> int:
        items = message[self.desc]
        if self.items_max is not None and len(items) > self.items_max + 1:
            _cut(items, self.items_max + 1)
            total.is_cut = True
        total.elements += len(items)
        unbounded = len(items) if self.items_max is None else 0
        if self.inner is not None:
            messages = items.values() if isinstance(items, MutableMapping) else items
            unbounded += self._apply_inner(self.inner, messages, total)
        if unbounded and self.cost:
            total.spend(self.cost * unbounded, self.desc.name)
        return unbounded

    def _apply_inner(self, inner: MessageBounds, messages: Iterable[Message], total: MessageCost) -> int:
        """Applies the bounds of each message. Their total cost does not count if the contract bounds their number."""
        unbounded, before = 0, total.cost
        try:
            for each in messages:
                unbounded += inner.apply(each, total)
                if self.items_max is not None:
                    total.cost = before
        except TooCostly as error:
            raise TooCostly(error.field or self.desc.name) from None
        return unbounded


@dataclass(frozen=True, slots=True)
class NestedBounds(FieldBounds):
    """The bounds of a field that holds a single message."""

    def apply(self, message: Message, total: MessageCost) -> int:
        if self.inner is None or self.desc not in message:
            return 0
        unbounded = self.inner.apply(message[self.desc], total)
        if self.cost:
            total.spend(self.cost * (1 + unbounded), self.desc.name)
        return unbounded


@dataclass(frozen=True, slots=True)
class LengthBounds(FieldBounds):
    """The bound on the length of a string or of bytes."""

    length_max: int

    def apply(self, message: Message, total: MessageCost) -> int:
        text = message[self.desc]
        if text is not None and len(text) > self.length_max + 1:
            message[self.desc] = text[: self.length_max + 1]
            total.is_cut = True
        return 0


def _cut(items: "MutableSequence[Any] | MutableMapping[Any, Any]", length: int) -> None:
    """Removes all but the first elements."""
    if isinstance(items, MutableMapping):
        for key in list(items)[length:]:
            del items[key]
    else:
        del items[length:]
