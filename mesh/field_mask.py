"""Partial updates by field mask (AIP-134, AIP-161)."""

import copy
from collections.abc import Sequence
from typing import TypeVar

from protobuf import DescField, DescFieldValueMessage, DescMessage, Message
from protobuf.wkt import FieldMask

from mesh.errors import FieldViolation, InvalidArgument

M = TypeVar("M", bound=Message)

ALL = "*"
DEPTH_MAX = 32


def apply_update(current: M, patch: M, mask: FieldMask | None, *, updatable: frozenset[str]) -> M:
    """Returns a copy of `current` with the masked fields of `patch`; a masked field that is unset there is cleared.

    `updatable` names the fields, or paths into singular messages ("address.city"), that a caller may change, including
    everything below them. The mask `*` stands for all of them. Without a mask, or with an empty one, the updatable
    fields that are set in `patch` are changed, and others are ignored, as AIP-203 requires for output-only fields.
    Raises InvalidArgument with a violation of update_mask for every path that is unknown or not updatable.
    """
    paths = list(mask.paths) if mask is not None else []
    if not paths:
        chosen = [path for path in sorted(updatable) if _has(patch, _resolve(patch.desc(), path))]
    elif paths == [ALL]:
        chosen = sorted(updatable)
    else:
        _check(patch.desc(), paths, updatable)
        chosen = paths
    updated = copy.deepcopy(current)
    for path in chosen:
        _take(updated, patch, _resolve(patch.desc(), path))
    return updated


def _check(message: DescMessage, paths: Sequence[str], updatable: frozenset[str]) -> None:
    violations = []
    for path in paths:
        try:
            _resolve(message, path)
        except ValueError as error:
            violations.append(FieldViolation("update_mask", str(error), "FIELD_UNKNOWN"))
            continue
        names = path.split(".")
        if not any(".".join(names[:length]) in updatable for length in range(1, len(names) + 1)):
            allowed = ", ".join(sorted(updatable))
            description = f'"{path}" cannot be updated; these can: {allowed}'
            violations.append(FieldViolation("update_mask", description, "FIELD_NOT_UPDATABLE"))
    if violations:
        first = violations[0]
        raise InvalidArgument(f"update_mask: {first.description}.", reason=first.reason, violations=violations)


def _resolve(message: DescMessage, path: str) -> list[DescField]:
    """Returns the fields along a path. Raises ValueError with a message that names the path."""
    if path == ALL:
        raise ValueError(f'"{ALL}" stands for every field and must be the only path')
    if path.count(".") >= DEPTH_MAX:
        raise ValueError(f"a path has more than {DEPTH_MAX} parts")
    fields: list[DescField] = []
    at: DescMessage | None = message
    for name in path.split("."):
        if at is None:
            raise ValueError(f'"{path}": the path must end at "{fields[-1].name}", which is not a singular message')
        field = next((field for field in at.fields if field.name == name), None)
        if field is None:
            raise ValueError(f'"{path}": {at.name} has no field "{name}"')
        fields.append(field)
        at = field.value.message if isinstance(field.value, DescFieldValueMessage) else None
    return fields


def _has(message: Message, fields: Sequence[DescField]) -> bool:
    return fields[0] in message and (len(fields) == 1 or _has(message[fields[0]], fields[1:]))


def _take(target: Message, source: Message | None, fields: Sequence[DescField]) -> None:
    """Copies the field at the end of the path from `source` to `target`; a missing parent counts as empty."""
    field, *rest = fields
    inner = source[field] if source is not None and field in source else None
    if rest:
        if field not in target:
            if inner is None:
                return
            target[field] = type(inner)()
        _take(target[field], inner, rest)
    elif inner is None:
        del target[field]
    else:
        target[field] = copy.deepcopy(inner)
