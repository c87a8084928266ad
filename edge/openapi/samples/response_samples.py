"""Samples of responses: plausible answers, as the edge writes them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from googleapis.google.api.field_behavior_pb import FieldBehavior
from protobuf import DescField, DescFieldValueMessage, DescMessage, Registry

from edge.bind.system_parameters import NO_SYSTEM_PARAMETERS
from edge.contract.resume_token import ResumeToken
from edge.contract.route import Route
from edge.openapi.samples.corrections import corrected
from edge.openapi.samples.echoes import Echoes
from edge.openapi.samples.field_values import FieldValues, has_example, is_plain, value_of
from edge.openapi.samples.rule_check import RuleCheck
from edge.openapi.schemas.field_behavior import behaviors
from edge.openapi.schemas.oneofs import excluded_by, excluded_by_rules
from edge.openapi.schemas.requirements import Requirements
from edge.openapi.schemas.schema_variant import SchemaVariant
from edge.protojson.writer import MessageWriter
from edge.reply.response_writer import JsonStyle, ResponseWriter
from mesh.contract.descriptors import inner_message

LINES_MAX: Final = 60
"""The number of lines of a sample, indented, after which optional fields are left out."""

DEPTH_MAX: Final = 4
"""The depth of messages in messages. Samples that are too long get a smaller one."""

# "Absent until it is shipped", "empty if it is not deleted": the field is present in a special case only.
_SPECIAL: Final = re.compile(
    r"\b(?:absent|empty|unset|not\s+set)\s+(?:until|unless|if\s+(?:[^\s.]+\s+){0,4}(?:not|no|nothing)\b)",
    re.IGNORECASE,
)
_NO_VALUES: Final[tuple[Any, ...]] = (None, {}, [])


@dataclass(slots=True)
class _Choice:
    """The choice of a sample's fields: with optional ones or without, how deep, and how many more lines."""

    everything: bool
    depth_max: int
    echoes: Echoes
    lines_left: int = LINES_MAX


class ResponseSamples:
    """The samples of a document's responses. A field has the same value as in the samples of requests."""

    def __init__(
        self, values: FieldValues, requirements: Requirements, check: RuleCheck, types: Registry, style: JsonStyle
    ) -> None:
        """`style` is that of responses."""
        self._values = values
        self._requirements = requirements
        self._check = check
        self._messages = MessageWriter(types)
        self._style = style

    def of(self, route: Route, request_sample: Any) -> Any:
        """Returns a sample of a route's responses, None if no sample is valid. If the response is a stream, it is a
        sample of one message. It repeats values of `request_sample`, which is a body of the route, or None.
        """
        output = route.method.desc.output
        writer = ResponseWriter(output, route.response_body, self._messages, self._style)
        for sample in self._candidates(route, Echoes.of(route, request_sample)):
            response = corrected(output, sample, self._check, route.response_body)
            if response is not None:
                written = json.loads(writer.write(response, writer.options(NO_SYSTEM_PARAMETERS)))
                if written not in _NO_VALUES or not output.fields:
                    return written
        return None

    def event_id(self, route: Route, sample: Any) -> str | None:
        """Returns the id that a sample of one message has as a server-sent event, None if it has none."""
        token = ResumeToken.of(route.method.desc.output) if route.response_body is None else None
        message = self._check.read(route.method.desc.output, sample) if token is not None else None
        return token.event_id(message) if token is not None and message is not None else None

    def _candidates(self, route: Route, echoes: Echoes) -> Iterator[Any]:
        """Yields samples of a response, the best first: the deepest that is short enough, then one without optional
        fields.
        """
        depth_max = DEPTH_MAX
        choice = _Choice(True, depth_max, echoes)
        sample = self._response(route, choice)
        while choice.lines_left < 0 and depth_max > 0:
            depth_max -= 1
            choice = _Choice(True, depth_max, echoes)
            sample = self._response(route, choice)
        yield sample
        yield self._response(route, _Choice(False, DEPTH_MAX, echoes))

    def _response(self, route: Route, choice: _Choice) -> Any:
        output, part = route.method.desc.output, route.response_body
        if part is None:
            return value_of(output, lambda message: self._object(message, choice, ()))
        return {part.json_name: self._value(part, choice, (output.type_name,))}

    def _object(self, message: DescMessage, choice: _Choice, outer: tuple[str, ...]) -> dict[str, Any] | None:
        """Returns the fields of a message, None if it is too deep or in a message of its own type."""
        if len(outer) > choice.depth_max or message.type_name in outer:
            return None
        sample: dict[str, Any] = {}
        given: set[DescField] = set()
        for each in message.fields:
            is_excluded = each in excluded_by(given) or each in excluded_by_rules(given)
            if is_excluded or not self._includes(each, choice, is_outermost=not outer):
                continue
            value = self._value(each, choice, (*outer, message.type_name))
            if value not in _NO_VALUES:
                sample[each.json_name] = value
                given.add(each)
        return sample

    def _includes(self, each: DescField, choice: _Choice, *, is_outermost: bool) -> bool:
        if FieldBehavior.INPUT_ONLY in behaviors(each):
            return False
        if choice.everything and choice.lines_left > 0 and not each.deprecated:
            is_echo = is_outermost and choice.echoes.include(each)
            if is_echo or not _SPECIAL.search(self._values.description(each)):
                return True
        is_needed = self._requirements.include(each, SchemaVariant.REQUEST, ())
        return is_needed or (not choice.everything and has_example(each))

    def _value(self, each: DescField, choice: _Choice, outer: tuple[str, ...]) -> Any:
        value = choice.echoes.value(each) if len(outer) == 1 else None
        if value is None:
            value = self._values.of(each, lambda message: self._object(message, choice, outer))
        choice.lines_left -= _own_lines(each, value)
        return value


def _own_lines(each: DescField, value: Any) -> int:
    """Returns the number of lines of a field's value, without those of the fields of a message in it."""
    inner = inner_message(each)
    if inner is None or is_plain(inner):
        return json.dumps(value, indent=2).count("\n") + 1
    return 2 if isinstance(each.value, DescFieldValueMessage) else 4
