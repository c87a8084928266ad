"""The token bucket of one client."""

import pytest

from services.support import token_bucket
from services.support.token_bucket import TokenBucket


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        """Returns the time."""
        return self.now_s

    async def sleep(self, pause_s: float) -> None:
        """Moves the time on."""
        self.now_s += max(0.0, pause_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock in the place of the real one, for the bucket only: other tasks of the event loop go on."""
    clock = Clock()
    monkeypatch.setattr(token_bucket, "time", clock)
    monkeypatch.setattr(token_bucket, "asyncio", clock)
    return clock


async def test_a_burst_is_followed_by_an_even_rate(clock: Clock) -> None:
    """Takes a burst at once, then one token at a time at the rate, and a burst again after a rest."""
    bucket, waited_s = TokenBucket(burst=5, per_s=10), []
    for _ in range(8):
        before_s = clock.now_s
        await bucket.take()
        waited_s.append(round(clock.now_s - before_s, 3))
    assert waited_s == [0, 0, 0, 0, 0, 0.1, 0.1, 0.1]
    clock.now_s += 60
    rested_s = clock.now_s
    for _ in range(5):
        await bucket.take()
    assert clock.now_s == rested_s
    await bucket.take()
    assert clock.now_s == pytest.approx(rested_s + 0.1)
