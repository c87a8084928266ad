"""Validation of messages by the rules of their contracts (protovalidate). Knows descriptors, and no call."""

from mesh.validation.validator import Validator

__all__ = ["Validator"]
