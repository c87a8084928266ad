"""The corrections of samples of responses. A response may lack any field, so one that breaks a rule is left out."""

import re
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Final

from googleapis.google.api.field_behavior_pb import FieldBehavior
from protobuf import DescField, DescFieldValueMessage, DescMessage, Message

from edge.openapi.samples.field_values import is_plain
from edge.openapi.samples.rule_check import RuleCheck
from edge.openapi.schemas.field_behavior import behaviors
from edge.protojson.fields import find_by_proto_name
from mesh.contract.descriptors import inner_message

CORRECTIONS_MAX: Final = 5

_SUBSCRIPT: Final = re.compile(r"\[(?:\"[^\"]*\"|[^\]\"]*)\]")


def corrected(message: DescMessage, sample: Any, check: RuleCheck, part: DescField | None) -> Message | None:
    """Returns the response that a sample describes, without the fields that break rules. None if others do, or if the
    sample describes none. If the response is `part` of the message, the rules of other fields don't matter.
    """
    sample = deepcopy(sample)
    for _ in range(CORRECTIONS_MAX):
        made = check.read(message, sample)
        paths = None if made is None else check.violations(made)
        if paths is None:
            return None
        broken = [fields for path in paths if not _is_elsewhere(fields := _fields_along(message, path), part)]
        if not broken:
            return made
        left_out = [_leave_out(sample, fields) for fields in broken]
        if not any(left_out):
            return None
    return None


def _fields_along(message: DescMessage, path: str) -> list[DescField]:
    """Returns the fields along the path of a violation, as far as it consists of fields."""
    fields: list[DescField] = []
    at: DescMessage | None = message
    for name in _SUBSCRIPT.sub("", path).split("."):
        found = find_by_proto_name(at, name) if at is not None else None
        if found is None:
            break
        fields.append(found)
        at = inner_message(found)
    return fields


def _is_elsewhere(fields: Sequence[DescField], part: DescField | None) -> bool:
    """Returns whether a violation concerns a field that no response has, or none but a part of the message has."""
    if part is not None and (not fields or fields[0] is not part):
        return True
    return any(FieldBehavior.INPUT_ONLY in behaviors(field) for field in fields)


def _leave_out(sample: Any, fields: Sequence[DescField]) -> bool:
    """Removes the last of these fields, each in the one before. Returns whether it was there and may be left out."""
    at = sample
    for index, field in enumerate(fields):
        if field.json_name not in at or field.presence.name == "LEGACY_REQUIRED":
            return False
        inner = inner_message(field)
        if index == len(fields) - 1 or inner is None or is_plain(inner):
            del at[field.json_name]
            return True
        value = at[field.json_name]
        if not isinstance(field.value, DescFieldValueMessage):  # The list or map has one element.
            value = next(iter(value.values() if isinstance(value, dict) else value))
        at = value
    return False
