"""The sizes that a contract's rules bound, applied to a message before its rules are evaluated.

protovalidate evaluates every rule of every element, and creates an object for each violation, which costs 20 µs and
4 KB of memory apiece, even if the list is a thousand times longer than allowed. So a field that is longer than a rule
allows is cut to one more than that: it still breaks the rule, and costs no more than a valid message.

The cost of a CEL expression depends on the elements it iterates over, and is quadratic for some; protovalidate gives up
after 10,000 iterations, which can take seconds that nothing can interrupt. The elements that expressions may iterate
over are counted beforehand, and limited where the contract sets no bound.
"""

from threading import RLock

from protobuf import DescField, DescFieldValueList, DescFieldValueMap, DescFieldValueMessage, DescMessage, Message

from mesh.contract.descriptors import inner_message
from mesh.contract.rules import active, element_rules, expressions, field_rules, has_rules, items_max, length_max
from mesh.validation.expression_cost import expression_cost
from mesh.validation.field_bounds import FieldBounds, LengthBounds, MessageBounds, NestedBounds, RepeatedBounds
from mesh.validation.message_cost import MessageCost


class Bounds:
    """The bounds of all message types, read from the descriptor of each at its first use."""

    def __init__(self) -> None:
        self._by_type: dict[str, MessageBounds | None] = {}
        self._complete: dict[str, MessageBounds | None] = {}
        """Those that have the bounds of their fields too, and are read without the lock."""
        self._lock = RLock()

    def apply(self, message: Message) -> MessageCost:
        """Cuts fields that are too long to one more than is allowed, and returns the cost of the message after
        that. Raises TooCostly.
        """
        total, desc = MessageCost(), message.desc()
        try:
            bounds = self._complete[desc.type_name]
        except KeyError:
            bounds = self._complete[desc.type_name] = self.of(desc)
        if bounds is not None:
            bounds.apply(message, total)
        return total

    def of(self, desc: DescMessage) -> MessageBounds | None:
        """Returns the bounds of one type, None if neither it nor any message that it can contain has rules."""
        with self._lock:  # threads share a validator
            if desc.type_name not in self._by_type:
                made = MessageBounds(desc) if has_rules(desc) else None
                self._by_type[desc.type_name] = made  # before those of its fields, which may have the same type
                if made is not None:
                    made.fields = tuple(filter(None, map(self._field, desc.fields)))
            return self._by_type[desc.type_name]

    def _field(self, field: DescField) -> FieldBounds | None:
        rules, inner_desc = field_rules(field), inner_message(field)
        inner = self.of(inner_desc) if inner_desc is not None else None
        if rules is None and inner is None:
            return None
        cost = expression_cost(expressions(active(rules)))
        match field.value:
            case DescFieldValueList() | DescFieldValueMap():
                cost += expression_cost(expressions(element_rules(rules)))
                return RepeatedBounds(field, cost, inner, items_max(rules))
            case DescFieldValueMessage():
                return NestedBounds(field, cost, inner)
        longest = length_max(rules)
        return LengthBounds(field, cost, None, longest) if longest is not None else None
