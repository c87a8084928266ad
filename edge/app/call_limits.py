"""The limits on the calls of this process."""

from dataclasses import dataclass
from typing import Self

from edge.call.allowance_table import AllowanceTable
from edge.call.allowances import Allowances
from edge.call.concurrency_limit import ConcurrencyLimit
from edge.settings import EdgeSettings


@dataclass(frozen=True, slots=True)
class CallLimits:
    """The limits on all calls together. They outlive a reload of the contracts, because calls in progress do."""

    calls: ConcurrencyLimit
    streams: ConcurrencyLimit
    allowances: AllowanceTable

    @classmethod
    def of(cls, settings: EdgeSettings, allowances: AllowanceTable | None = None) -> Self:
        """Creates the limits that the settings name, with rate limits of this process unless `allowances` are given."""
        return cls(
            calls=ConcurrencyLimit(settings.concurrent_requests_max),
            streams=ConcurrencyLimit(settings.concurrent_streams_max),
            allowances=allowances or Allowances(),
        )
