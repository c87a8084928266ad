"""Paths to fields in nested messages."""

from collections.abc import Collection

from protobuf import DescField

FieldPath = tuple[DescField, ...]
"""The fields from the outermost message to a field."""


def paths_inside(field: DescField, paths: Collection[FieldPath]) -> list[FieldPath]:
    """Returns the rest of each path that leads through the field."""
    return [path[1:] for path in paths if path[0] is field and len(path) > 1]
