"""The contract's rate limits, by the generic cell rate algorithm, which stores one number for each caller.

https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
"""

import math
import time
from typing import Final

from edge.call.allowance_table import AllowanceTable
from edge.http.headers import Headers
from mesh.contract.policy import RateLimit
from mesh.errors import ResourceExhausted

ROUNDING_S: Final = 1e-6


class RateLimiter:
    """The rate limit of one method. A caller may use its whole allowance at once; it refills evenly."""

    def __init__(self, method: str, limit: RateLimit, allowances: AllowanceTable) -> None:
        self._method = method
        self._limit = limit
        self._allowances = allowances
        self._interval_s = limit.per_s / limit.requests
        self._rejected = f"{method} rejected"
        self._policy = f'"default";q={limit.requests};w={math.ceil(limit.per_s)}'.encode()

    def admit(self, caller: str) -> Headers:
        """Counts a call. Returns the headers with the remaining calls
        (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/). Raises ResourceExhausted at the limit.
        """
        debt_s = self._charge(caller)
        left = int((self._limit.per_s - debt_s + ROUNDING_S) / self._interval_s)
        rate = f'"default";r={left};t={math.ceil(debt_s)}'.encode()
        return [(b"ratelimit-policy", self._policy), (b"ratelimit", rate)]

    def give_back(self, caller: str) -> None:
        """Takes back a call that was rejected. It counts in an allowance of its own instead, of the same size; while
        that is used up, rejected calls count like others.
        """
        if self._limit.counts_rejected:
            return
        now = time.monotonic()
        with self._allowances.exclusive():
            rejected = self._allowances.key(self._rejected, caller, now)
            debt_s = max(0.0, self._allowances.full_at(rejected, now) - now) + self._interval_s
            if debt_s > self._limit.per_s + ROUNDING_S:
                return
            self._allowances.set(rejected, now + debt_s)
            key = self._allowances.key(self._method, caller, now)
            self._allowances.set(key, max(now, self._allowances.full_at(key, now) - self._interval_s))

    def _charge(self, caller: str) -> float:
        """Counts a call. Returns the time until the allowance is full. Raises ResourceExhausted at the limit."""
        now = time.monotonic()
        with self._allowances.exclusive():
            key = self._allowances.key(self._method, caller, now)
            # A reload of the contract may have shortened the period.
            debt_s = min(max(0.0, self._allowances.full_at(key, now) - now), self._limit.per_s) + self._interval_s
            wait_s = debt_s - self._limit.per_s
            if wait_s <= ROUNDING_S:
                self._allowances.set(key, now + debt_s)
                return debt_s
        calls = "call" if self._limit.requests == 1 else "calls"
        text = f"More than {self._limit.requests} {calls} in {self._limit.per_s:.15g} s. Try again later."
        raise ResourceExhausted(text, reason="RATE_LIMIT_EXCEEDED", retry_after_s=wait_s)
