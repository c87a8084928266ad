"""The output of a process's logs."""

import structlog


class LogOutput(structlog.WriteLogger):
    """An output of log lines that never raises: its reader may have ended, its disk be full, or it be closed."""

    def msg(self, message: str) -> None:
        """Writes a line, if that is possible."""
        try:
            super().msg(message)
        except (OSError, ValueError):  # a closed file raises ValueError
            return

    log = debug = info = warn = warning = error = critical = exception = msg
