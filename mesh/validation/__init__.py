"""Validation of messages by the rules of their contracts (protovalidate). Knows descriptors, but no calls."""

from mesh.validation.validator import Validator

__all__ = ["Validator"]
