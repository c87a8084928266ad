"""Experiments: which users get which ranking."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from services.recommendations.domain.ranking import Ranking

CONVERSION_WITHIN: Final = timedelta(days=30)
"""How long after the exposure an order counts as its success."""

CONTROL: Final = Ranking.FREQUENT
CHALLENGER: Final = Ranking.COSINE


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment that gives a share of the users the challenging ranking, in percent. Nothing is tried out at 0 and
    at 100, when all users have the same one.
    """

    name: str
    share_percent: int

    @property
    def is_running(self) -> bool:
        """Returns whether there is something to compare."""
        return 0 < self.share_percent < 100

    @property
    def default(self) -> Ranking:
        """Returns the ranking of those who don't take part."""
        return CHALLENGER if self.share_percent == 100 else CONTROL

    def assign(self, user: str) -> Ranking:
        """Returns the variant of a user. It depends on nothing but the two names and the share; a greater share only
        adds users to the challenger. Assignments of experiments with other names are independent.
        """
        digest = hashlib.sha256(f"{self.name}/{user}".encode()).digest()
        return CHALLENGER if int.from_bytes(digest[:8]) % 100 < self.share_percent else CONTROL
