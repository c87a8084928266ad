"""A connection whose peer reads everything at once."""

import asyncio
from typing import Any


class Transport(asyncio.Transport):
    """Takes what is written, and throws it away."""

    def write(self, data: Any) -> None:
        """There is no reader."""

    def writelines(self, list_of_data: Any) -> None:
        """There is no reader."""

    def close(self) -> None:
        """There is nothing to close."""

    def abort(self) -> None:
        """There is nothing to close."""

    def get_write_buffer_size(self) -> int:
        return 0
