"""How many calls there may be at the same time."""

from collections.abc import Iterator
from contextlib import contextmanager

from mesh.errors import Unavailable


class ConcurrencyLimit:
    """Counts calls that are being made. A client that is still sending its request makes none."""

    def __init__(self, calls_max: int) -> None:
        self._calls = 0
        self._calls_max = calls_max

    def check(self) -> None:
        """Raises Unavailable if there is no room for another call."""
        if self._calls >= self._calls_max:
            raise Unavailable("Too many requests at the same time.", reason="OVERLOADED", retry_after_s=1)

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Counts a call while this is entered. Raises Unavailable if there is no room for it."""
        self.check()
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
