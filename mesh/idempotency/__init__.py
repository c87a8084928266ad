"""Idempotent calls: one effect for each request_id, whose response is stored. Knows the database and the call."""

from mesh.idempotency.once import once, once_prepared
from mesh.idempotency.stored_responses import RequestKey, forget, forget_caller, forget_mentions

__all__ = ["RequestKey", "forget", "forget_caller", "forget_mentions", "once", "once_prepared"]
