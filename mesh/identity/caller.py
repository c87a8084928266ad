"""The caller of a method: a user, a workload, or nobody."""

from dataclasses import dataclass

WORKLOAD_PREFIX = "workloads/"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `subject` is "users/…", "workloads/…", or empty for nobody; `expires_at` is a Unix time in seconds.
    `ended_ids` are the entries of the list of ended tokens that would each end this token.
    """

    subject: str = ""
    scopes: frozenset[str] = frozenset()
    token: str = ""
    expires_at: float = 0.0
    ended_ids: tuple[str, ...] = ()

    @property
    def workload(self) -> str | None:
        """The name of the workload that calls as itself, None if a user or nobody does."""
        return self.subject.removeprefix(WORKLOAD_PREFIX) if self.subject.startswith(WORKLOAD_PREFIX) else None


ANONYMOUS = Caller()
