"""The open streams of each user at this process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from mesh.errors import ResourceExhausted
from services.support.domain import Actor

RETRY_AFTER_S = 1.0


class OpenStreams:
    """The number of open streams of each user."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    @contextmanager
    def admit(self, actor: Actor) -> Iterator[None]:
        """Counts a stream until the block ends. Raises ResourceExhausted if the user has too many."""
        if self._counts[actor.subject] >= actor.streams_max:
            raise ResourceExhausted(
                f"You have {actor.streams_max} open streams of conversations, which is the limit. Close one first.",
                reason="TOO_MANY_CHATS",
                retry_after_s=RETRY_AFTER_S,
            )
        self._counts[actor.subject] += 1
        try:
            yield
        finally:
            self._counts[actor.subject] -= 1
            self._counts += Counter()  # drops those without streams
