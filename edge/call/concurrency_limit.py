"""The limit on concurrent calls."""

from typing import Self

from mesh.errors import Unavailable


class ConcurrencyLimit:
    """A limit on calls in progress. A request that is still arriving is not a call yet."""

    def __init__(self, calls_max: int) -> None:
        self._calls = 0
        self._calls_max = calls_max

    def check(self) -> None:
        """Raises Unavailable at the limit."""
        if self._calls >= self._calls_max:
            raise Unavailable("There are too many concurrent requests.", reason="OVERLOADED", retry_after_s=1)

    def __enter__(self) -> Self:
        """Counts a call for the duration of the context. Raises Unavailable at the limit."""
        self.check()
        self._calls += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._calls -= 1
