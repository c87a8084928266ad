"""The check of an OpenAPI document against the specification."""

from collections.abc import Mapping
from typing import Any


def validate(document: Mapping[str, Any]) -> None:
    """Raises the first error of a document."""
    from openapi_spec_validator import validate  # takes seconds, which each worker would spend to collect the tests

    validate(document)
