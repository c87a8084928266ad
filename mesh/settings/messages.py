"""Messages for invalid settings: the variable, what its value must be, and an example."""

import os
from collections.abc import Mapping
from typing import Any, Final, get_args

from pydantic import AliasChoices, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from mesh.settings.groups import FORMERLY, MeshSettings

_NUMBER_PROBLEMS: Final = ("int_", "float_", "finite_number", "greater_than", "less_than")


def messages(settings_type: type[MeshSettings], error: ValidationError, options: Mapping[str, str]) -> list[str]:
    """Returns a line for each invalid setting, sorted. `options` are as for read()."""
    lines: dict[str, str] = {}
    for problem in error.errors(include_input=False, include_url=False):
        name = _field_name(settings_type, problem)
        lines.setdefault(name, _line(settings_type, name, problem, options.get(name)))
    return sorted(lines.values())


def variables(settings_type: type[MeshSettings], name: str) -> list[str]:
    """Returns the environment variables of a setting, in order of precedence."""
    alias = settings_type.model_fields[name].validation_alias
    names = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
    return [str(each).upper() for each in names]


def _field_name(settings_type: type[MeshSettings], problem: ErrorDetails) -> str:
    """Returns the name of the setting that a problem belongs to, empty if it concerns several together."""
    if not problem["loc"]:
        return ""
    place = str(problem["loc"][0])
    return next(n for n in settings_type.model_fields if n == place or place.upper() in variables(settings_type, n))


def _line(settings_type: type[MeshSettings], name: str, problem: ErrorDetails, option: str | None) -> str:
    if not name:
        return f"{_requirement(problem, '', FieldInfo())}."
    field, names = settings_type.model_fields[name], variables(settings_type, name)
    label = f"{option} ({' or '.join(names)})" if option else " or ".join(names)
    example = f" Example: {f'{option} ' if option else f'{names[0]}='}{field.examples[0]}" if field.examples else ""
    return f"{label}: {_requirement(problem, name, field)}.{example}"


def _requirement(problem: ErrorDetails, name: str, field: FieldInfo) -> str:
    """Returns the requirement that a setting does not meet, to complete "NAME: "."""
    kind = problem["type"]
    if kind == "missing":
        return f"is not set{_renamed(field)}"
    if kind == "value_error":
        return problem["msg"].removeprefix("Value error, ")
    if kind.startswith(_NUMBER_PROBLEMS):
        return _number(name, field)
    if kind.endswith(("too_short", "too_long")):
        return _length(field)
    if kind == "literal_error":
        return f"must be {problem['ctx']['expected']}".replace("'", "")
    if kind.startswith("bool_"):
        return "must be true or false"
    return problem["msg"].replace("Input should be", "must be")


def _renamed(field: FieldInfo) -> str:
    """Returns that the setting had another name, if that is still set."""
    extra = field.json_schema_extra
    former = extra.get(FORMERLY) if isinstance(extra, dict) else None
    return f". {former} is its former name: rename it" if str(former) in os.environ else ""


def _number(name: str, field: FieldInfo) -> str:
    whole = "whole " if int in (field.annotation, *get_args(field.annotation)) else ""
    what = f"a {whole}number{' of seconds' if name.endswith('_s') else ''}"
    match _bounds(field):
        case {"ge": least, "le": most}:
            return f"must be {what} from {least} to {most}"
        case {"gt": limit, "le": most}:
            return f"must be {what} above {limit}, at most {most}"
        case {"ge": least}:
            return f"must be {what}, at least {least}"
    return f"must be {what}"


def _length(field: FieldInfo) -> str:
    match _bounds(field):
        case {"min_length": least, "max_length": most}:
            return f"must have {least} to {most} characters"
        case {"min_length": least} if least > 1:
            return f"must have at least {least} characters"
        case {"max_length": most}:
            return f"must have at most {most} characters"
    return "must not be empty"


def _bounds(field: FieldInfo) -> dict[str, Any]:
    kinds = ("gt", "ge", "le", "min_length", "max_length")
    return {kind: getattr(bound, kind) for bound in field.metadata for kind in kinds if hasattr(bound, kind)}
