"""Partial updates by field mask (AIP-134, AIP-161)."""

import contextlib
import copy
import re
from collections.abc import Sequence
from typing import Any, Final, TypeAlias, TypeVar

from protobuf import DescField, DescFieldValueMap, DescFieldValueMessage, DescMessage, Message, ScalarType
from protobuf.wkt import FieldMask

from mesh.errors import FieldViolation, InvalidArgument

M = TypeVar("M", bound=Message)

ALL = "*"
DEPTH_MAX = 32

_PART: Final = re.compile(r"(?:^|\.)(`[^`]*`|[^.`]*)")
_BOOLS: Final = {"true": True, "false": False}

_Step: TypeAlias = DescField | str | int
"""A field of a message, or a key of a map."""


def path_parts(path: str) -> list[str]:
    """Returns the parts of a path, at least one: names of fields, and keys of maps, with their backquotes. What follows
    a backquote in a malformed path is left out.
    """
    return _PART.findall(path)


def apply_update(current: M, patch: M, mask: FieldMask | None, *, updatable: frozenset[str]) -> M:
    """Returns a copy of `current` with the masked fields of `patch`; a masked field that is unset there is cleared.

    `updatable` names the fields, or paths into singular messages ("address.city"), that a caller may change, including
    everything below them. Paths of the mask may lead to a key of a map (`labels.color`), in backquotes if it has other
    characters than letters, digits, `_` and `-`. The mask `*` stands for all of `updatable`. Without a mask, or with an
    empty one, the updatable fields that are set in `patch` are changed, and others are ignored, as AIP-203 requires for
    output-only fields.
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
        names = path_parts(path)
        if not any(".".join(names[:length]) in updatable for length in range(1, len(names) + 1)):
            allowed = ", ".join(sorted(updatable))
            description = f'"{path}" cannot be updated; these can: {allowed}'
            violations.append(FieldViolation("update_mask", description, "FIELD_NOT_UPDATABLE"))
    if violations:
        first = violations[0]
        raise InvalidArgument(f"update_mask: {first.description}.", reason=first.reason, violations=violations)


def _resolve(message: DescMessage, path: str) -> list[_Step]:
    """Returns the steps along a path. Raises ValueError with a message that names the path."""
    if path == ALL:
        raise ValueError(f'"{ALL}" stands for every field and must be the only path')
    if path.count(".") >= DEPTH_MAX:
        raise ValueError(f"a path has more than {DEPTH_MAX} parts")
    names = path_parts(path)
    if ".".join(names) != path:
        raise ValueError(f'"{path}": backquotes must enclose a whole part')
    steps: list[_Step] = []
    at: DescMessage | DescFieldValueMap | None = message
    before = ""
    for name in names:
        match at:
            case None:
                raise ValueError(f'"{path}": the path must end at "{before}", which is not a singular message')
            case DescFieldValueMap(key=kind, value=value):
                steps.append(_key(kind, name, path))
                at = value if isinstance(value, DescMessage) else None
            case DescMessage():
                field = next((field for field in at.fields if field.name == name), None)
                if field is None:
                    raise ValueError(f'"{path}": {at.name} has no field "{name}"')
                steps.append(field)
                at = _inside(field)
        before = name
    return steps


def _inside(field: DescField) -> DescMessage | DescFieldValueMap | None:
    """Returns the message or the map that a path may lead into, None if it must end at this field."""
    if isinstance(field.value, DescFieldValueMessage):
        return field.value.message
    return field.value if isinstance(field.value, DescFieldValueMap) else None


def _key(kind: ScalarType, name: str, path: str) -> str | int:
    """Returns the key of a map that a part of a path names. Raises ValueError if its type has no such key, or if the
    part is a wildcard (AIP-161), which no update needs.
    """
    text = name.removeprefix("`").removesuffix("`")
    if name and name != ALL:
        if kind is ScalarType.STRING:
            return text
        with contextlib.suppress(ValueError, KeyError):
            return _BOOLS[text] if kind is ScalarType.BOOL else int(text)
    raise ValueError(f'"{path}": "{name}" is no key of this map')


def _has(message: Message, fields: Sequence[Any]) -> bool:
    return fields[0] in message and (len(fields) == 1 or _has(message[fields[0]], fields[1:]))


def _take(target: Any, source: Any, steps: Sequence[_Step]) -> None:
    """Copies what is at the end of the path from `source` to `target`, messages or maps; a missing parent counts as
    empty.
    """
    step, *rest = steps
    inner = source[step] if source is not None and step in source else None
    if rest:
        if step not in target:
            if inner is None:
                return
            target[step] = type(inner)()
        _take(target[step], inner, rest)
    elif inner is not None:
        target[step] = copy.deepcopy(inner)
    elif step in target:
        del target[step]
