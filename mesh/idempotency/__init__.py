"""Idempotent calls: one effect for each request_id, whose answer is stored. Knows the database and the call."""

from mesh.idempotency.answers import Key, forget, forget_caller
from mesh.idempotency.once import once, once_prepared

__all__ = ["Key", "forget", "forget_caller", "once", "once_prepared"]
