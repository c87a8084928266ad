"""The log of gRPC's library about calls that end before their response is sent."""

import logging
from typing import Final

import grpc.aio

LOGGER: Final = logging.getLogger("grpc._cython.cygrpc")

_FAILED: Final = 'Failed "execute_batch"'
"""The start of the error of a step that gRPC's core has begun and could not finish. It does not begin one that is
wrong, such as invalid metadata.
"""


class LostCalls(logging.Filter):
    """A filter that logs the end of a call before its response was sent as a warning. gRPC's core ends a call by itself
    at its deadline, or when it loses the client; what is being sent then fails, be it headers, a message or the status.
    gRPC's library ignores that once it knows that the call has ended, and until then logs an error with a traceback.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Changes the record, which is logged in any case."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, grpc.aio.InternalError) and str(error).startswith(_FAILED):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.msg, record.args = f"a call ended before its response was sent: {record.getMessage()}", ()
            record.exc_info = None
        return True


LOST_CALLS: Final = LostCalls()
