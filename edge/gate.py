"""How many may be inside at the same time."""

from mesh.errors import Unavailable


class Gate:
    """Counts who is `inside` at the same time, `inside_max` at most."""

    def __init__(self, inside_max: int) -> None:
        self.inside = 0
        self._inside_max = inside_max

    def check(self) -> None:
        """Raises Unavailable if the last to enter was one too many."""
        if self.inside > self._inside_max:
            raise Unavailable("Too many requests at the same time.", reason="OVERLOADED", retry_after_s=1)
