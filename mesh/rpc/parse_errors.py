"""The exceptions with which protobuf-py rejects bytes that are not a message."""

from typing import Final

PARSE_ERRORS: Final = (ValueError, EOFError, RecursionError)
"""RecursionError is that of messages, or of groups in unknown fields, inside more than a hundred others."""
