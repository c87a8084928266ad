"""The variants of the schema of a message: in a response, in a request, in an update."""

from enum import Enum


class SchemaVariant(Enum):
    """A variant of the schema of a message. The value is the suffix of the type's name in the name of the schema."""

    RESPONSE = ""
    REQUEST = "-Input"
    UPDATE = "-Update"
    """A request that holds the fields to change: AIP-203's REQUIRED is about new resources."""
