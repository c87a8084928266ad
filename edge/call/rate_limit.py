"""The contract's rate limits per process, by the generic cell rate algorithm, which stores one number for each caller.

https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
"""

import math
import time
from collections import OrderedDict
from typing import Final

from edge.http.headers import Headers
from mesh.contract.policy import RateLimit
from mesh.errors import ResourceExhausted

CALLERS_MAX: Final = 10_000
"""The maximum number of callers of a method with separate allowances."""
_OTHERS: Final = ""
ROUNDING_S: Final = 1e-6


class RateLimiter:
    """The rate limit of one method. A caller may use its whole allowance at once; it refills evenly.

    A caller is removed from the table only when its allowance is full again, so that many new callers can't reset the
    count of another. While the table is full, callers that are not in it share one allowance.
    """

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._interval_s = limit.per_s / limit.requests
        self._free_at: OrderedDict[str, float] = OrderedDict()
        self._policy = f'"default";q={limit.requests};w={math.ceil(limit.per_s)}'.encode()

    def admit(self, caller: str) -> Headers:
        """Counts a call. Returns the headers with the remaining calls
        (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/). Raises ResourceExhausted at the limit.
        """
        now = time.monotonic()
        caller = self._allowance_key(caller, now)
        debt_s = max(0.0, self._free_at.pop(caller, now) - now) + self._interval_s
        wait_s = debt_s - self._limit.per_s
        if wait_s > ROUNDING_S:
            self._free_at[caller] = now + debt_s - self._interval_s
            text = f"More than {self._limit.requests} calls in {self._limit.per_s:g} s. Try again later."
            raise ResourceExhausted(text, reason="RATE_LIMIT_EXCEEDED", retry_after_s=wait_s)
        self._free_at[caller] = now + debt_s
        left = int((ROUNDING_S - wait_s) / self._interval_s)
        rate = f'"default";r={left};t={math.ceil(debt_s)}'.encode()
        return [(b"ratelimit-policy", self._policy), (b"ratelimit", rate)]

    def _allowance_key(self, caller: str, now: float) -> str:
        """Returns the caller if it is or fits in the table, otherwise the key that all other callers share."""
        if caller in self._free_at:
            return caller
        while self._free_at and next(iter(self._free_at.values())) <= now:
            self._free_at.popitem(last=False)
        return caller if len(self._free_at) < CALLERS_MAX else _OTHERS
