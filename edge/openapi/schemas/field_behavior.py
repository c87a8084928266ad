"""The behavior of fields (AIP-203)."""

from googleapis.google.api.field_behavior_pb import FieldBehavior, ext_field_behavior
from protobuf import DescExtension, DescField


def behaviors(field: DescField | DescExtension) -> frozenset[FieldBehavior]:
    """Returns the values of a field's google.api.field_behavior."""
    options = field.proto.options
    if options is None or ext_field_behavior not in options:
        return frozenset()
    given: list[FieldBehavior] = options[ext_field_behavior]
    return frozenset(given)
